"""A copy of proc/kallsyms that lost its last part is no source of a *no*; a whole one is."""

from __future__ import annotations

import pytest

from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import parse
from probe_scout.probes.attach import verdicts
from probe_scout.sources import open_source
from tests.builders.tiny_kernel import FILTER, FILTER_ADDRS, Changed, tiny_files
from tests.builders.tree import write_tree
from tests.conftest import ROOT

KALLSYMS, MANIFEST = "proc/kallsyms", "manifest.json"
FILES = tiny_files(["foo", "init_task data", "bar [older]", "note [older] data", "baz [newer]", "bar [newer]"])
# tiny_files lists modules as they come; the kernel shows the one that was loaded last first.
assert [row.split()[0] for row in FILES["proc/modules"].splitlines()] == [b"older", b"newer"]
SLICE = ROOT / "fixtures" / "kernels" / "debian-6.1.176-amd64.tar.xz"
ARM64 = ROOT / "fixtures" / "arm64" / "kernels" / "debian-6.1.176-arm64.tar.xz"


def kernel_of(tmp_path, **changed):
    files = {**FILES, **{path.replace("__", "/"): raw for path, raw in changed.items()}}
    return Kernel(open_source(str(write_tree(tmp_path / "root", {k: v for k, v in files.items() if v is not None}))))


def answer(kernel, name):
    """The answer for kprobe, and why it is none."""
    verdict = verdicts.verdicts(kernel, parse(name), ("kprobe",))[0]
    return verdict.answer, verdict.unread[0].why if verdict.unread else ""


def without(raw, *ends):
    return b"".join(line for line in raw.splitlines(True) if not line.endswith(tuple(b"%s\n" % end for end in ends)))


def test_a_whole_copy_says_no(tmp_path):
    assert answer(kernel_of(tmp_path), "nowhere") == ("no", "")


@pytest.mark.parametrize("end", [b" _sinittext", b" _einittext", b" _end"])
def test_a_border_that_every_kernel_has_is_missing(tmp_path, end):
    kernel = kernel_of(tmp_path, proc__kallsyms=without(FILES[KALLSYMS], end))
    assert kernel.kallsyms() is None
    gap = kernel.unread("kallsyms")
    assert (gap.kind, f"it has no{end.decode()}:" in gap.why) == ("malformed", True)


@pytest.mark.parametrize(("option", "is_read"), [(b"y", False), (b"n", True)])
def test_a_kernel_that_shows_no_data_has_no_last_symbol(tmp_path, option, is_read):
    """The configuration tells where the copy itself does not."""
    config = FILES["boot/config"].replace(b"CONFIG_KALLSYMS=y", b"CONFIG_KALLSYMS=y\nCONFIG_KALLSYMS_ALL=" + option)
    code = without(FILES[KALLSYMS], b" _end", b" init_task")
    kernel = kernel_of(tmp_path, boot__config=config if b"KALLSYMS_ALL" in config else b"CONFIG_KALLSYMS_ALL=" + option)
    kernel._raw[KALLSYMS] = code
    assert (kernel.kallsyms() is not None) == is_read


def test_a_border_of_data_is_no_data(tmp_path):
    """Without CONFIG_KALLSYMS_ALL 6.12 shows __start_rodata all the same: no-kprobes of tests/oracle/test_built.py."""
    code = without(FILES[KALLSYMS], b" _end", b" init_task") + b"ffffffff82000000 D __start_rodata\n"
    assert kernel_of(tmp_path, proc__kallsyms=code, boot__config=None).kallsyms() is not None


def test_the_module_that_was_loaded_first_is_missing(tmp_path):
    raw = without(FILES[KALLSYMS], b"\t[newer]")
    assert kernel_of(tmp_path, proc__kallsyms=raw).kallsyms() is None
    # Without data a module may have no symbol at all: then nothing but ftrace's list can tell.
    no_data = without(raw, b" init_task")
    kernel = kernel_of(tmp_path, proc__kallsyms=no_data, boot__config=b"# CONFIG_KALLSYMS_ALL is not set\n")
    assert answer(kernel, "foo") == ("yes", "")
    assert answer(kernel, "nowhere")[0] == "unknown"
    kernel = kernel_of(
        tmp_path,
        proc__kallsyms=no_data,
        boot__config=b"# CONFIG_KALLSYMS_ALL is not set\n",
        **{path.replace("/", "__"): without(FILES[path], b" [newer]") for path in (FILTER, FILTER_ADDRS)},
    )
    assert answer(kernel, "nowhere")[0] == "no"


@pytest.mark.parametrize("lists", [(FILTER_ADDRS, FILTER), (FILTER,)])
def test_the_last_function_of_the_last_module_is_missing(tmp_path, lists):
    raw = FILES[KALLSYMS]
    assert raw.endswith(b" bar\t[newer]\n")
    cut = raw[: raw[:-1].rindex(b"\n") + 1]
    files = {path: FILES[path] if path in lists else None for path in (FILTER_ADDRS, FILTER)}
    kernel = kernel_of(tmp_path, proc__kallsyms=cut, **{path.replace("/", "__"): raw for path, raw in files.items()})
    found, why = answer(kernel, "nowhere")
    assert (found, "ftrace lists newer:bar" in why) == ("unknown", True)
    assert answer(kernel, "foo") == ("yes", "")


@pytest.mark.parametrize(
    ("option", "known"), [(b"CONFIG_MODULES=y\n", "unknown"), (b"# CONFIG_MODULES is not set\n", "no")]
)
def test_without_a_list_of_modules_nothing_proves_the_last_part(tmp_path, option, known):
    kernel = kernel_of(tmp_path, proc__modules=None, boot__config=option, **{MANIFEST: None})
    found, why = answer(kernel, "nowhere")
    assert (found, "proc/modules was not read" in why) == (known, known == "unknown")
    assert answer(kernel, "foo") == ("yes", "")


def test_a_recorded_kernel_is_refused_wherever_it_is_cut(recorded):
    raw, modules = recorded.read(KALLSYMS), recorded.read("proc/modules").split(b"\n")
    behind = raw.index(b"\n", raw.index(b" _end\n")) + 1
    oldest = raw.index(b"\n", raw.rindex(b"\t[" + modules[-3].split()[0] + b"]\n")) + 1
    last = raw[oldest:].splitlines(True)
    assert all(b"[" + modules[-2].split()[0] + b"]\n" in line for line in last)
    cuts = [*range(1, behind, behind // 3), behind, *range(behind, oldest, (oldest - behind) // 3)]
    for cut in cuts:
        kept = raw[: raw.rindex(b"\n", 0, cut) + 1] if b"\n" in raw[:cut] else b"x"
        kernel = Kernel(Changed(recorded, replaced={KALLSYMS: kept}))
        assert kernel.kallsyms() is None, kept[-80:]
    owner = last[0].split(b"\t")[1][:-1]
    sites = [line.split()[0] for line in recorded.read(FILTER).split(b"\n") if line.endswith(owner)]
    at = max(n for n, line in enumerate(last) if line.split()[2] in sites)
    for count, gap in ((1, True), (at, True), (len(last), False)):
        kernel = Kernel(Changed(recorded, replaced={KALLSYMS: raw[:oldest] + b"".join(last[:count])}))
        assert kernel.kallsyms() is not None
        assert (kernel.unproved() is not None) == gap


def test_slices_are_read():
    """Cut for the names that were asked, and known as slices."""
    for path in (SLICE, ARM64):
        kernel = Kernel(open_source(str(path)))
        assert kernel.kallsyms() is not None, path.name
        assert kernel.unproved() is None, path.name


def test_a_list_of_functions_that_ends_before_those_of_modules(recorded):
    """Recorded: cut in vmlinux it shows no function of the 31 modules. Without modules nothing can tell."""
    whole, addresses = recorded.read(FILTER), recorded.read(FILTER_ADDRS)
    cut = {
        path: raw[: raw.index(b"\n", len(raw) // 2) + 1] for path, raw in ((FILTER, whole), (FILTER_ADDRS, addresses))
    }
    assert b" [" not in cut[FILTER]
    kernel = Kernel(Changed(recorded, replaced=cut))
    verdict = verdicts.verdicts(kernel, parse("xfrm_output"), ("fentry",))[0]
    assert (verdict.answer, verdict.unread[0].kind) == ("unknown", "malformed")
    assert "the list is cut off" in verdict.unread[0].why
    assert verdicts.verdicts(Kernel(recorded), parse("xfrm_output"), ("fentry",))[0].answer == "yes"
    alone = Kernel(
        Changed(recorded, replaced={**cut, "proc/modules": recorded.read("proc/modules").splitlines(True)[-1]})
    )
    assert alone.view((b"vfs_read",)).sites is not None


def test_a_blacklist_that_ends_before_the_text_of_entries(recorded):
    """What is cut off would be a *yes*."""
    path = "sys/kernel/debug/kprobes/blacklist"
    lines = recorded.read(path).splitlines(True)
    own = [line for line in lines if b"[" not in line]
    for count, is_whole in ((1, False), (len(own) // 2, False), (len(own) - 1, False), (len(own), True)):
        kernel = Kernel(Changed(recorded, replaced={path: b"".join(own[:count])}))
        assert (kernel.blacklist() is not None) == is_whole
        if not is_whole:
            assert "the list is cut off" in kernel.unread("kprobe_blacklist").why
    name = own[-1].split()[1].decode()
    verdict = verdicts.verdicts(
        Kernel(Changed(recorded, replaced={path: b"".join(own[:-1])})), parse(name), ("kprobe",)
    )[0]
    assert verdict.answer != "yes"


def test_a_configuration_that_ends_before_its_last_menu(recorded):
    """What has no line may be behind the cut; what has one is told."""
    path = next(f"boot/{name}" for name in recorded.names("boot") if name.startswith("config"))
    raw = recorded.read(path)
    cut = raw[: raw.index(b"\n", raw.index(b"CONFIG_BPF_SYSCALL=")) + 1]
    kernel, whole = (Kernel(Changed(recorded, replaced={path: text})) for text in (cut, raw))
    options = ("CONFIG_BPF_SYSCALL", "CONFIG_KPROBES", "CONFIG_NO_SUCH", "CONFIG_COMPILE_TEST")
    assert [whole.config(option) for option in options] == ["y", "y", "", ""]
    assert [kernel.config(option) for option in options] == ["y", None, None, ""]
    assert "the file is cut off" in kernel.unread("config").why
    old = Kernel(Changed(recorded, replaced={path: cut.replace(b"# end of", b"# ends")}))  # kernels before 5.4
    assert old.config("CONFIG_KPROBES") == ""
