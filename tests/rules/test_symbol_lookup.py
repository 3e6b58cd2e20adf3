"""Names of module functions through perf, in the states that kernel/trace/trace_kprobe.c has had.

The recorded 6.1.176 counts vmlinux and modules, and looks for the colon of MODULE:FUNCTION. The states before it are
made of that recording: nobody's archive keeps a kernel of them.
"""

from __future__ import annotations

import pytest

from probe_scout.arch import x86_64
from probe_scout.formats import code_slices
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import parse
from probe_scout.probes.attach import bulk, verdicts
from probe_scout.sources import open_source
from tests.builders.tiny_kernel import Changed
from tests.conftest import ROOT

RECORDED = ROOT / "fixtures" / "kernels" / "debian-6.1.176-amd64.tar.xz"
LOOKS_FOR_COLON, LOOKS_FOR_SEMICOLON = bytes.fromhex("be3a000000"), bytes.fromhex("be3b000000")
LOCAL = "create_local_trace_kprobe"


@pytest.fixture(scope="module")
def stable():
    return open_source(str(RECORDED))


def only_vmlinux_counted(source):
    """Stable 6.1.60 to 6.1.70 and Debian's 6.1.64 to 6.1.69: count_symbols is there, count_mod_symbols is not."""
    lines = source.read("proc/kallsyms").split(b"\n")
    return b"\n".join(line for line in lines if not line.endswith(b" count_mod_symbols"))


def without_colon(source):
    """The code slices of the same kernel, its function looking for another sign."""
    table = code_slices.table(source.read(code_slices.PATH))
    (one,) = table[None, LOCAL]
    table[None, LOCAL] = (one._replace(code=one.code.replace(LOOKS_FOR_COLON, LOOKS_FOR_SEMICOLON)),)
    return code_slices.write_slices(one for found in table.values() for one in found)


def module_function(source):
    """A traced function of a module that no other symbol shares its name with."""
    symbols = Kernel(source).full().symbols
    listed = source.read("sys/kernel/tracing/available_filter_functions").decode().split("\n")
    for line in listed:
        name, _, module = line.partition(" ")
        if module and "." not in name and len(symbols.rows(name.encode())) == 1:
            return name, module.strip("[]")
    raise AssertionError("no module in the recording")


def asked(source, *targets, attach="kprobe"):
    kernel = Kernel(source)
    found = [verdicts.verdicts(kernel, parse(target), (attach,))[0] for target in targets]
    return [(one.answer, one.errno, one.findings[0].rule if one.findings else "") for one in found]


def test_the_recorded_kernel_takes_both_names(stable):
    name, module = module_function(stable)
    assert asked(stable, name, f"{module}:{name}") == [("yes", None, "")] * 2


@pytest.mark.parametrize("attach", ["kprobe", "kretprobe"])
def test_where_vmlinux_alone_is_counted_no_module_function_is_found_through_perf(stable, attach):
    name, module = module_function(stable)
    source = Changed(stable, missing=(code_slices.PATH,), replaced={"proc/kallsyms": only_vmlinux_counted(stable)})
    assert asked(source, name, f"{module}:{name}", "vfs_read", attach=attach) == [
        ("no", "ENOENT", "symbol_lookup.module_not_counted"),
        ("no", "ENOENT", "symbol_lookup.prefix_counted"),
        ("yes", None, ""),
    ]
    assert asked(source, name, attach="kprobe.multi")[0][0] == asked(stable, name, attach="kprobe.multi")[0][0]


def test_scan_says_the_same_of_such_a_kernel(stable):
    name, module = module_function(stable)
    source = Changed(stable, missing=(code_slices.PATH,), replaced={"proc/kallsyms": only_vmlinux_counted(stable)})
    kernel = Kernel(source)
    kernel.full()
    (traits,) = [traits for n, m, traits in bulk.lines(kernel) if (n, m) == (name, module)]
    answers, _ = bulk.Sweep(kernel, ("kprobe",)).answers(traits)
    assert answers["kprobe"] == "no"


def test_without_the_code_nobody_knows_whether_the_prefix_is_understood(stable):
    name, module = module_function(stable)
    source = Changed(stable, missing=(code_slices.PATH,))
    assert asked(source, name, f"{module}:{name}") == [("yes", None, ""), ("unknown", None, "")]
    (verdict,) = verdicts.verdicts(Kernel(source), parse(f"{module}:{name}"), ("kprobe",))
    assert [gap.fact for gap in verdict.unread] == ["code"]
    assert LOCAL in verdict.unread[0].why


def test_code_that_looks_for_no_colon_counts_the_whole_of_it_as_one_name(stable):
    name, module = module_function(stable)
    source = Changed(stable, replaced={code_slices.PATH: without_colon(stable)})
    assert asked(source, name, f"{module}:{name}") == [
        ("yes", None, ""),
        ("no", "ENOENT", "symbol_lookup.prefix_counted"),
    ]


def test_a_slice_of_part_of_the_function_proves_nothing(stable):
    name, module = module_function(stable)
    table = code_slices.table(stable.read(code_slices.PATH))
    (one,) = table[None, LOCAL]
    table[None, LOCAL] = (one._replace(code=one.code[:16]),)
    slices = code_slices.write_slices(one for found in table.values() for one in found)
    source = Changed(stable, replaced={code_slices.PATH: slices})
    assert asked(source, f"{module}:{name}") == [("unknown", None, "")]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("be3a000000 e811223344 c3", True),  # mov $':', %esi; call strchr
        ("6a3a 5e c3", True),  # push $':'
        ("803f3a 7402 c3 90", True),  # cmpb $':', (%rdi): strchr written out
        ("e83a000000 c3", False),  # a call's displacement
        ("4889fb 7e3a c3", False),  # a jump's
        ("8b403a c3", False),  # a place in memory
        ("be3b000000 c3", False),
    ],
)
def test_a_sign_that_an_instruction_compares_with(code, said):
    assert x86_64.has_operand(bytes.fromhex(code), ord(":")) is said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("3d00800000 c3", True),  # cmp $0x8000, %eax
        ("81fa01800000 c3", True),  # cmp $0x8001, %edx
        ("483d00800000 c3", True),  # cmp $0x8000, %rax
        ("3d02800000 c3", False),
        ("81c200800000 c3", False),  # add $0x8000, %edx
        ("e800800000 c3", False),  # a call's displacement
        ("8b8000800000 c3", False),  # a place in memory
    ],
)
def test_a_number_that_an_instruction_compares_with(code, said):
    assert x86_64.compares_with(bytes.fromhex(code), (0x8000, 0x8001)) is said


@pytest.mark.parametrize(
    ("vmlinux", "modules", "fires"),
    [(2, 0, True), (1, 0, False), (1, 2, False), (0, 2, True), (0, 1, False), (2, 2, True)],
)
def test_symbols_of_modules_count_where_vmlinux_has_none(vmlinux, modules, fires):
    """kernel/trace/trace_kprobe.c, number_of_same_symbols: modules are walked when vmlinux has no such symbol."""
    from probe_scout.model.traits import Traits
    from probe_scout.rules import symbol_lookup

    assert symbol_lookup.ambiguous.fires(Traits(vmlinux=vmlinux, modules=modules), None) == fires


@pytest.mark.parametrize(
    ("release", "length", "module", "errno"),
    [
        ("5.10.223", 127, "", "ENOENT"),
        ("5.10.223", 128, "", "E2BIG"),
        ("5.10.223", 511, "", "E2BIG"),
        ("5.10.223", 123, "xfs:", "ENOENT"),
        ("5.10.223", 124, "xfs:", "E2BIG"),
        ("6.1.176", 128, "", "ENOENT"),
        ("6.1.176", 511, "", "ENOENT"),
    ],
)
def test_how_long_a_name_perf_copies(release, length, module, errno):
    """KSYM_NAME_LEN was 128 until b8a94bfb3395: perf copies MODULE:FUNCTION as one text. fentry asks BTF alone."""
    kernel = Kernel(open_source(str(RECORDED.with_name(f"debian-{release}-amd64.tar.xz"))))
    kernel.take_as_whole()
    target = parse(module + "f" * length)
    (kprobe, fentry) = verdicts.verdicts(kernel, target, ("kprobe", "fentry"))
    assert (kprobe.answer, kprobe.errno, kprobe.errno_certain) == ("no", errno, True)
    assert (fentry.answer, fentry.errno) == ("no", "ESRCH")
