"""Stubs of functions: where each argument lies, what the return sees, and when there is no right stub."""

from __future__ import annotations

import pytest

from probe_scout.commands import stub
from probe_scout.commands.stub import arguments, words
from probe_scout.errors import NoStub, UsageError
from probe_scout.model.stub import Argument, PlainType
from tests.conftest import ROOT

from .conftest import ORIGIN

INT = PlainType("int", 4, True, "int")
LONG = PlainType("int", 8, True, "long")
PAIR = PlainType("struct", 16, False, "struct pair", struct="struct pair")
LARGE = PlainType("struct", 24, False, "struct large", struct="struct large")
VOID = PlainType("void", 0, False, "void")


def listed(*types):
    found, slot = [], 0
    for number, one in enumerate(types):
        slots = max(1, (one.size + 7) // 8)
        found.append(Argument(f"a{number}", one, slot, slots))
        slot += slots
    return tuple(found)


def where(arch, *types, system_call=False):
    return [place.registers or place.stack for place in arguments.places(arch, listed(*types), system_call)]


def test_the_seventh_argument_of_x86_lies_behind_the_return_address():
    six = [("di",), ("si",), ("dx",), ("cx",), ("r8",), ("r9",)]
    assert where("x86_64", *[LONG] * 8) == [*six, 8, 16]


def test_the_fourth_argument_of_a_system_call_is_r10():
    assert where("x86_64", *[LONG] * 4, system_call=True)[3] == ("r10",)


def test_a_struct_of_two_words_takes_two_registers_and_a_larger_one_the_stack():
    assert where("x86_64", PAIR, LONG, LARGE, LONG) == [("di", "si"), ("dx",), 8, ("cx",)]


def test_a_struct_that_finds_one_register_left_lies_on_the_stack_and_leaves_it():
    assert where("x86_64", *[LONG] * 5, PAIR, LONG)[5:] == [8, ("r9",)]


def test_arguments_behind_a_struct_are_not_guessed_on_other_architectures():
    assert where("aarch64", LONG, PAIR, LONG) == [("regs[0]",), None, None]


@pytest.mark.parametrize("arch", sorted(arguments.REGISTERS_OF))
def test_registers_leave_no_hole_and_hold_every_argument(arch):
    registers = arguments.REGISTERS_OF[arch]
    at = 0
    for _, offset, count in registers.members:
        assert offset == at
        at += 8 * count
    assert at == registers.size
    names = {name for name, _, _ in registers.members}
    for expression in (*registers.call, *registers.system_call, registers.returned, registers.pointer):
        assert expression.partition("[")[0] in names


def test_fexit_has_a_word_for_the_return_behind_the_slots():
    made = arguments.traced("f", "fexit", None, listed(PAIR, INT), INT, "int f()", True)
    assert [(m.name, m.offset, m.size) for m in made.members] == [("a0", 0, 16), ("a1", 16, 8), ("ret", 24, 8)]


def test_a_void_function_has_no_word_for_the_return():
    made = arguments.traced("f", "fexit", None, listed(INT), VOID, "void f()", True)
    assert [m.name for m in made.members] == ["a0"]
    assert "returns void" in made.notes[-1]


def test_kretprobe_offers_no_argument():
    made = arguments.probed("f", "kretprobe", "x86_64", listed(INT), INT, "int f(int a0)", "kretprobe/f")
    assert made.arguments == ()
    source = stub.text([made], "c", ORIGIN)
    assert "kretprobe_f__ret(" in source
    assert "kretprobe_f__a0" not in source


@pytest.mark.parametrize("attach", ["fentry", "fexit", "kprobe", "kretprobe", "ksyscall"])
@pytest.mark.parametrize("arch", sorted(arguments.REGISTERS_OF))
def test_header_and_program_compile(compilers, attach, arch):
    types = listed(LONG, INT, PAIR, PlainType("pointer", 8, False, "char *", "char"), LARGE, LONG, LONG, LONG)
    if attach in ("fentry", "fexit"):
        made = arguments.traced("f", attach, None, types, INT, "int f()", True)
    else:
        made = arguments.probed("f", attach, arch, types, INT, "int f()", f"{attach}/f", attach == "ksyscall")
    assert compilers.said("c", stub.text([made], "c", ORIGIN)) == ""
    assert compilers.said("object", stub.text([made], "c", ORIGIN, program=True)) == ""


def test_functions_of_the_bundled_kernel(bundled, compilers):
    stubs = []
    for attach in ("fentry", "fexit", "kprobe", "kretprobe"):
        stubs += stub.report(bundled, ["vfs_read", "tcp_v4_connect", "do_sys_openat2"], "c", attach).stubs
    stubs += stub.report(bundled, ["openat", "syscall:mmap"], "c", "ksyscall").stubs
    assert [m.name for m in stubs[3].members] == ["file", "buf", "count", "pos", "ret"]
    assert compilers.said("c", stub.text(stubs, "c", ORIGIN)) == ""
    assert compilers.said("object", stub.text(stubs, "c", ORIGIN, program=True)) == ""


@pytest.mark.parametrize(
    ("name", "attach", "says", "code"),
    [
        ("sched:sched_swich", "tp", "no event sched:sched_swich; did you mean sched:sched_switch", 1),
        ("vfs_reed", "fentry", "no function vfs_reed; did you mean vfs_read", 1),
        ("ftrace:print", "tp", "takes no tp program (EINVAL)", 1),
        ("syscalls:sys_enter_openat", "tp_btf", "takes no tp_btf program (ESRCH)", 1),
        ("__rcu_read_lock", "fentry", "takes no fentry program", 1),
        ("opennat", "ksyscall", "no system call opennat", 1),
        ("sched:nothing*", "tp", "no event sched:nothing*", 1),
    ],
)
def test_a_wrong_target_is_one_sentence(bundled, name, attach, says, code):
    with pytest.raises(NoStub) as caught:
        stub.report(bundled, [name], "c", attach)
    assert says in str(caught.value)
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("name", "lang", "attach", "core", "program"),
    [
        ("vfs_read", "c", "fentry", True, False),
        ("sched:sched_switch", "rust", "tp", False, True),
        ("openat", "bpftrace", "ksyscall", False, False),
        ("tp:sched:sched_switch", "c", "fentry", False, False),
        ("a b", "c", "tp", False, False),
    ],
)
def test_a_question_that_makes_no_sense_is_a_usage_error(bundled, name, lang, attach, core, program):
    with pytest.raises(UsageError):
        stub.report(bundled, [name], lang, attach, core, program)


def test_a_syscall_event_has_no_relocated_struct(bundled):
    with pytest.raises(NoStub, match="leave out --core"):
        stub.report(bundled, ["syscalls:sys_enter_openat"], "c", "tp", core=True)


def test_one_question_has_one_text(bundled):
    first, second = (stub.report(bundled, ["sched:sched_switch", "vfs_read"][:1], "c").text for _ in range(2))
    assert first == second
    assert "6.12.107" in first


@pytest.mark.parametrize(
    ("write", "name", "written"),
    [
        (words.c, "class", "class_"),
        (words.c, "9p", "_9p"),
        (words.rust, "type", "r#type"),
        (words.rust, "self", "self_"),
        (words.python, "from", "from_"),
        (words.python, "__syscall_nr", "_syscall_nr"),
        (words.camel, "prev_comm", "PrevComm"),
        (words.camel, "9p", "N9p"),
        (words.comment, "a */ b\n/* c", "a * / b / * c"),
    ],
)
def test_names_fit_the_language(write, name, written):
    assert write(name) == written


def test_the_command_writes_a_file_and_nothing_for_a_wrong_target(tmp_path, capsys):
    from probe_scout.frontends.cli import run

    root = str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz")
    out = tmp_path / "x.h"
    assert run.main(["stub", "sched:sched_switch", "--root", root, "-o", str(out)]) == 0
    assert "struct tp_sched_sched_switch {" in out.read_text()
    assert run.main(["stub", "sched:sched_swich", "--root", root, "-o", str(tmp_path / "y.h")]) == 1
    assert not (tmp_path / "y.h").exists()
    assert capsys.readouterr().err.startswith("probe-scout: no event sched:sched_swich")
    assert run.main(["stub", "sched:sched_switch", "--root", root, "--lang", "cobol"]) == 2


@pytest.mark.parametrize(
    ("lang", "written"),
    [
        ("c", "__s64 fexit_f__ret(const struct fexit_f *ctx)\n{\n\treturn (__s64)ctx->ret;"),
        ("rust", "pub const fn ret_value(&self) -> i64 {\n        self.ret as i64"),
        ("go", "func (r *FexitF) RetValue() int64 {\n\treturn int64(r.Ret)"),
        ("python", 'def ret_value(self):\n        """The long."""\n        return ctypes.c_int64(self.ret).value'),
    ],
)
def test_what_is_narrower_than_its_word_or_signed_has_a_function(compilers, lang, written):
    made = arguments.traced("f", "fexit", None, listed(INT), LONG, "long f(int a0)", True)
    source = stub.text([made], lang, ORIGIN)
    assert written in source
    assert compilers.said(lang, source) == ""


def test_a_python_argument_has_its_sign():
    space = {}
    made = arguments.traced("f", "fexit", None, listed(INT), LONG, "long f(int a0)", True)
    exec(stub.text([made], "python", ORIGIN), space)
    record = space["FexitF"].from_buffer_copy(b"\xff\xff\xff\xff\0\0\0\0" + b"\xfe" + b"\xff" * 7)
    assert (record.a0_value(), record.ret_value()) == (-1, -2)


TEXT = PlainType("pointer", 8, False, "char *", "char")
FILE = PlainType("pointer", 8, False, "struct file *", "struct file", "struct file")


@pytest.mark.parametrize(
    ("one", "attach", "says"),
    [
        (TEXT._replace(user=True), "kprobe", "user memory: bpf_probe_read_user_str"),
        (TEXT, "fentry", "user or kernel memory: bpf_probe_read_user_str or bpf_probe_read_kernel_str"),
        (FILE, "kprobe", "kernel memory unless the source says __user: bpf_probe_read_kernel"),
        (FILE, "fentry", ""),  # a plain load follows it
        (FILE, "tp_btf", ""),
        (FILE, "raw_tp", "kernel memory unless the source says __user: bpf_probe_read_kernel"),
        (TEXT, "raw_tp", "kernel memory unless the source says __user: bpf_probe_read_kernel_str"),
    ],
)
def test_which_memory_a_pointer_leads_to_and_what_reads_it(one, attach, says):
    if attach in ("raw_tp", "tp_btf"):
        made = arguments.raw("f", attach, listed(one), "")
    elif attach == "fentry":
        made = arguments.traced("f", attach, None, listed(one), VOID, "void f()", True)
    else:
        made = arguments.probed("f", attach, "x86_64", listed(one), VOID, "void f()", f"{attach}/f")
    source = stub.text([made], "c", ORIGIN)
    assert says in source
    assert ("memory" in source) == bool(says)


def test_a_relocated_record_has_strings_and_arrays_of_their_own_kinds(bundled, compilers):
    names = ["sched:sched_process_exec", "fib:fib_table_lookup", "raw_syscalls:sys_enter"]
    found = stub.report(bundled, names, "c", "tp", core=True, program=True)
    for declared in ("char filename[64];", "__u8 dst[4];", "char name[16];", "__u64 args[6];"):
        assert declared in found.text
    assert compilers.said("object", found.text) == ""


@pytest.mark.parametrize("lang", ["rust", "go", "python"])
def test_registers_compile_in_every_language(compilers, lang):
    types = listed(LONG, INT, PAIR, TEXT, LARGE, LONG, LONG, LONG, LONG, LONG, LONG)
    stubs = [
        arguments.probed(f"f_{arch}", attach, arch, types, INT, "int f()", f"{attach}/f", attach == "ksyscall")
        for attach in ("kprobe", "kretprobe", "ksyscall")
        for arch in sorted(arguments.REGISTERS_OF)
    ]
    assert compilers.said(lang, stub.text(stubs, lang, ORIGIN)) == ""


def test_a_python_kprobe_reads_its_registers():
    """Each register holds its own offset: x86_64's di lies at 112, si at 104, dx at 96, sp at 152."""
    space = {}
    types = listed(LONG, PAIR, INT, LARGE, LONG, LONG, LONG)
    made = arguments.probed("f", "kprobe", "x86_64", types, VOID, "void f()", "kprobe/f")
    exec(stub.text([made], "python", ORIGIN), space)
    registers = space["KprobeF"].from_buffer_copy(b"".join(at.to_bytes(8, "little") for at in range(0, 168, 8)))
    assert (registers.a0_value(), registers.a1_words(), registers.a2_value()) == (112, (104, 96), 88)
    assert (registers.a3_address(), registers.a4_value(), registers.a5_value()) == (152 + 8, 72, 64)
    assert registers.a6_address() == 152 + 8 + 24


def test_a_python_kretprobe_reads_the_return_value_with_its_sign():
    space = {}
    made = arguments.probed("f", "kretprobe", "x86_64", listed(LONG), INT, "int f(long a0)", "kretprobe/f")
    exec(stub.text([made], "python", ORIGIN), space)
    registers = space["KretprobeF"].from_buffer_copy(bytes(80) + b"\xff\xff\xff\xff\0\0\0\0" + bytes(80))
    assert registers.ret_value() == -1
    assert not hasattr(registers, "a0_value")


@pytest.mark.parametrize("attach", ["raw_tp", "tp_btf"])
def test_bpftrace_calls_both_kinds_of_raw_tracepoints_alike(bundled, attach):
    source = stub.report(bundled, ["sched_process_exec"], "bpftrace", attach).text
    assert "rawtracepoint:sched_process_exec\n{" in source
    assert "old_pid=%ld" in source
    assert "(int32)arg1" in source


@pytest.mark.parametrize(
    ("attach", "says"),
    [
        ("tp.s", "there is no stub of tp.s apart: choose --attach tp (the same ctx; write the section tp.s/NAME)"),
        ("kprobe.session", "choose --attach kprobe (the same ctx at the entry, and at the return that of kretprobe)"),
        ("fentry.multi", "bpf_get_func_arg"),
        ("iter", "bpf_iter__TARGET"),
        ("uprobe", "sched:sched_switch is no user function: --attach uprobe takes /PATH:SYMBOL"),
    ],
)
def test_an_attach_type_without_a_stub_is_one_sentence(capsys, attach, says):
    from probe_scout.frontends.cli import run

    assert run.main(["stub", "sched:sched_switch", "--attach", attach]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert says in said.err


def test_every_attach_type_has_a_stub_or_is_told_of():
    from probe_scout.model.attach import ATTACH_TYPES
    from probe_scout.model.stub import STUB_ATTACH, STUB_LIKE, STUB_NOT

    assert set(ATTACH_TYPES) == {*STUB_ATTACH, *(set(STUB_LIKE) & set(ATTACH_TYPES)), *STUB_NOT}
    assert {other for other, _ in STUB_LIKE.values()} <= set(STUB_ATTACH)


def test_a_function_without_types_has_its_registers(bundled, compilers):
    """do_execveat_common.isra.0 has a symbol and no FUNC in BTF."""
    name = "do_execveat_common.isra.0"
    for attach in ("kprobe", "kretprobe"):
        source = stub.report(bundled, [name], "c", attach).text
        assert "struct probe_scout_regs_x86_64" in source
        assert ("BTF has no types of it" in source) == (attach == "kprobe")
        assert ("8 bytes of unknown type" in source) == (attach == "kretprobe")
        assert "returns void" not in source
        program = stub.report(bundled, [name], "c", attach, program=True).text
        assert compilers.said("object", program) == ""
    with pytest.raises(NoStub, match="instead: --attach kprobe"):
        stub.report(bundled, [name], "c", "fentry")
