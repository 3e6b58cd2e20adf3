"""A whole C program that loads as it stands: for each stub one program that keeps what it saw last.

Values go to global variables, so that `bpftool map dump` shows them by name; with `probe_scout_tgid` set to a
process, only what this process does is kept. No header is needed.
"""

from __future__ import annotations

from ..model.stub import (
    BYTES,
    LOCATED,
    PADDING,
    POINTER,
    REGISTERS,
    RESERVED,
    Argument,
    Member,
    PlainType,
    Stub,
)
from . import c_struct, core_relocatable, words
from .arguments import is_plainly_loaded, places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT_BYTES = 64  # of strings and arrays behind the record
_USE = (
    "Build:  clang -O2 -g -target bpf -c NAME.bpf.c -o NAME.bpf.o",
    "Attach: bpftool prog loadall NAME.bpf.o /sys/fs/bpf/NAME autoattach",
    "Read:   bpftool map dump name NAME.bss    (seen_*: what each program saw last; hits: how often)",
    "Stop:   rm -r /sys/fs/bpf/NAME",
)
_TOP = """\
#ifndef SEC
#define SEC(name) __attribute__((section(name), used))
#endif
char probe_scout_license[] SEC("license") = "GPL";
__u32 probe_scout_tgid; /* 0: every process */

PROBE_SCOUT_INLINE int probe_scout_wanted(__u64 *who)
{
	*who = probe_scout_pid_tgid();
	return !probe_scout_tgid || *who >> 32 == probe_scout_tgid;
}
"""


def write(stubs: Sequence[Stub], provenance: Sequence[str], core: bool = False) -> str:
    """One source file. With `core`, records are read by relocation."""
    header = core_relocatable.write if core else c_struct.write
    lines = [header(stubs, [*provenance, *_USE]), _TOP]
    for stub in stubs:
        lines.append("\n".join(_program(stub, core)) + "\n")
    return "\n".join(lines)


def _program(stub: Stub, core: bool) -> list[str]:
    if stub.shape == REGISTERS:
        kept = _of_registers(stub)
        ctx = f"const struct {c_struct.context(stub)} *ctx"
    elif core:
        kept = _of_core(stub)
        ctx = f"const struct {core_relocatable.context(stub)} *ctx"
    else:
        kept = [line for member, name in _members(stub) for line in _of_member(stub, member, name)]
        ctx = f"const struct {stub.title} *ctx"
    seen = f"seen_{stub.title}"
    lines = [f"struct {stub.title}_seen {{", "\t__u64 hits;", "\t__u64 pid_tgid;"]
    lines += [f"\t{declared};" for declared, _ in kept if declared]
    lines += [f"}} {seen};", "", f'SEC("{stub.section}")', f"int on_{stub.title}({ctx})", "{", "\t__u64 who;", ""]
    lines += ["\tif (!probe_scout_wanted(&who))", "\t\treturn 0;"]
    lines += [f"\t{line.replace('SEEN', seen)}" for _, line in kept]
    return [*lines, f"\t{seen}.pid_tgid = who;", f"\t{seen}.hits++;", "\treturn 0;", "}"]


def _members(stub: Stub) -> list[tuple[Member, str]]:
    pairs = zip(stub.members, c_struct.member_names(stub), strict=True)
    return [(member, name) for member, name in pairs if member.kind not in (PADDING, RESERVED)]


def _of_member(stub: Stub, member: Member, name: str) -> list[tuple[str, str]]:
    """Declarations of what is kept, and statements that keep it."""
    if member.argument is not None:
        return _of_slot(stub, member, member.argument, name)
    call = f"{stub.title}__{name}"
    if member.kind == LOCATED:
        base = name.removesuffix("_loc")
        call = f"{stub.title}__{base}"
        kind = "char" if member.text else "__u8"
        return [
            (f"__u32 {base}_len", f"SEEN.{base}_len = {call}_len(ctx);"),
            (f"{kind} {base}[{KEPT_BYTES}]", f"{call}_read(ctx, SEEN.{base}, {KEPT_BYTES});"),
        ]
    if member.kind == POINTER:
        found = [(f"__u64 {name}", f"SEEN.{name} = ctx->{name};")]
        if member.text:
            read = f"{call}_read(ctx, SEEN.{name}_text, {KEPT_BYTES});"
            found.append((f"char {name}_text[{KEPT_BYTES}]", read))
        return found
    if member.elements > 1 or member.kind == BYTES:
        # Copied in one piece, whatever its size; the record is kernel memory.
        return [(c_struct.value_of(member, name), f"{call}_read(ctx, SEEN.{name});")]
    return [(c_struct.value_of(member, name), f"SEEN.{name} = ctx->{name};")]


def _of_slot(stub: Stub, member: Member, one: Argument, name: str) -> list[tuple[str, str]]:
    if stub.attach == "raw_tp":
        loads = True
    elif stub.attach == "tp_btf":
        loads = one.is_loaded
    else:
        loads = is_plainly_loaded(one.type)
    if one.slots > 1 or one.type.kind == "struct":
        if stub.attach not in ("fentry", "fexit") or not stub.has_func_arg:
            return [("", f"/* {words.comment(member.declared)} {name}: by value */")]
        return [
            (f"__u64 {name}[{one.slots}]", f"probe_scout_func_arg((void *)ctx, {one.slot + at}, &SEEN.{name}[{at}]);")
            for at in range(one.slots)
        ][:1] + [
            ("", f"probe_scout_func_arg((void *)ctx, {one.slot + at}, &SEEN.{name}[{at}]);")
            for at in range(1, one.slots)
        ]
    if loads:
        value = f"{stub.title}__{name}(ctx)"
        return [_scalar(one.type, name, value)]
    if stub.attach in ("fentry", "fexit") and stub.has_func_arg:
        is_return = member is stub.members[-1] and len(stub.members) > len(stub.arguments)
        get = "probe_scout_func_ret((void *)ctx, " if is_return else f"probe_scout_func_arg((void *)ctx, {one.slot}, "
        return [(f"__u64 {name}", f"{get}&SEEN.{name});")]
    return [("", f"/* {words.comment(member.declared)} {name}: not every verifier lets it be loaded */")]


def _scalar(one: PlainType, name: str, value: str) -> tuple[str, str]:
    if one.kind == "pointer":
        return f"__u64 {name}", f"SEEN.{name} = (__u64){value};"
    return f"{c_struct.spelled(one)}{name}", f"SEEN.{name} = {value};"


def _of_registers(stub: Stub) -> list[tuple[str, str]]:
    found = []
    unique = words.Unique()
    where = places(stub.arch, stub.arguments, stub.attach == "ksyscall")
    for one, place in zip(stub.arguments, where, strict=True):
        name = unique(words.c(one.name))
        call = f"{stub.title}__{name}"
        if not place.registers and place.stack is None:
            continue
        if one.type.kind == "struct":
            found.append((f"__u64 {name}[{one.slots}]", f"{call}(ctx, SEEN.{name});"))
            continue
        found.append(_scalar(one.type, name, f"{call}(ctx)"))
        if stub.attach == "ksyscall" and one.type.target == "char":
            read = f"probe_scout_read_user_str(SEEN.{name}_text, {KEPT_BYTES}, (const void *)SEEN.{name});"
            found.append((f"char {name}_text[{KEPT_BYTES}]", read))
    one_return = stub.returns
    if stub.attach == "kretprobe" and one_return is not None and one_return.kind not in ("void", "struct"):
        found.append(_scalar(one_return, "ret", f"{stub.title}__ret(ctx)"))
    return found


def _of_core(stub: Stub) -> list[tuple[str, str]]:
    found = []
    for one, name in core_relocatable.named(stub):
        for mark in core_relocatable.MARKS:
            if one.name.startswith(mark) and one.size == 4:
                base = name.removeprefix(mark)
                call = f"{stub.core}__{base}"
                found.append((f"__u32 {base}_len", f"SEEN.{base}_len = {call}_len(ctx);"))
                found.append((f"__u8 {base}[{KEPT_BYTES}]", f"{call}_read(ctx, SEEN.{base}, {KEPT_BYTES});"))
                break
        else:
            if one.elements is None and one.type.kind in ("int", "bool", "enum"):
                declared = f"{c_struct.integer(one.type.size, one.type.signed)} {name}"
                found.append((declared, f"SEEN.{name} = ctx->{name};"))
            elif one.elements is None and one.type.kind == "pointer":
                found.append((f"__u64 {name}", f"SEEN.{name} = (__u64)ctx->{name};"))
            else:
                kind = "char" if one.type.size == 1 and one.type.kind == "int" else "__u8"
                read = f"probe_scout_read_kernel(SEEN.{name}, {one.size}, &ctx->{name});"
                found.append((f"{kind} {name}[{one.size}]", read))
    return found
