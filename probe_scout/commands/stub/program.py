"""A whole C program that loads as it stands: for each stub one program that keeps what it saw last.

Values go to global variables, so that `bpftool map dump` shows them by name; with `probe_scout_tgid` set to a
process, only what this process does is kept. No header is needed.
"""

from __future__ import annotations

from ...model.stub import (
    ARRAY,
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
from .arguments import RETURNS, is_plainly_loaded, places_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# What is kept of one member: its name, the declaration and the statement. @ stands for the name in `seen_…`, which may
# need a number: a located `type` and a plain one both want it.
Kept = tuple[str, str, str]
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
        kept = [one for member, name in _members(stub) for one in _of_member(stub, member, name)]
        ctx = f"const struct {stub.title} *ctx"
    seen = f"seen_{stub.title}"
    unique = words.Unique("hits", "pid_tgid")
    declared, statements = [], []
    for name, declaration, statement in kept:
        given = unique(name) if declaration else name
        if declaration:
            declared.append(f"\t{declaration.replace('@', given)};")
        statements.append("\t" + statement.replace("SEEN.@", f"{seen}.{given}"))
    return [
        *(f"struct {stub.title}_seen {{", "\t__u64 hits;", "\t__u64 pid_tgid;", *declared, f"}} {seen};", ""),
        *(f'SEC("{stub.section}")', f"int on_{stub.title}({ctx})", "{", "\t__u64 who;", ""),
        *("\t(void)ctx;", "\tif (!probe_scout_wanted(&who))", "\t\treturn 0;", *statements),
        *(f"\t{seen}.pid_tgid = who;", f"\t{seen}.hits++;", "\treturn 0;", "}"),
    ]


def _members(stub: Stub) -> list[tuple[Member, str]]:
    pairs = zip(stub.members, c_struct.member_names(stub), strict=True)
    return [(member, name) for member, name in pairs if member.kind not in (PADDING, RESERVED)]


def _of_member(stub: Stub, member: Member, name: str) -> list[Kept]:
    if member.argument is not None:
        return [_of_slot(stub, member, member.argument, name)]
    call = f"{stub.title}__{name}"
    if member.kind == LOCATED:
        base = name.removesuffix("_loc")
        call = f"{stub.title}__{base}"
        kind = "char" if member.text else "__u8"
        return [
            (f"{base}_len", "__u32 @", f"SEEN.@ = {call}_len(ctx);"),
            (base, f"{kind} @[{KEPT_BYTES}]", f"{call}_read(ctx, SEEN.@, {KEPT_BYTES});"),
        ]
    if member.kind == POINTER:
        found = [(name, "__u64 @", f"SEEN.@ = ctx->{name};")]
        if member.text:
            found.append((f"{name}_text", f"char @[{KEPT_BYTES}]", f"{call}_read(ctx, SEEN.@, {KEPT_BYTES});"))
        return found
    if member.elements > 1 or member.kind in (ARRAY, BYTES):
        # Copied in one piece, whatever its size; the record is kernel memory.
        return [(name, c_struct.value_of(member, "@"), f"{call}_read(ctx, SEEN.@);")]
    return [(name, c_struct.value_of(member, "@"), f"SEEN.@ = ctx->{name};")]


def _of_slot(stub: Stub, member: Member, one: Argument, name: str) -> Kept:
    is_traced = stub.attach in ("fentry", "fexit")
    declared = words.comment(member.declared)
    if one.slots > 1 or one.type.kind == "struct":
        if not is_traced or not stub.has_func_arg:
            return name, "", f"/* {declared} {name}: by value */"
        calls = (f"probe_scout_func_arg((void *)ctx, {one.slot + at}, &SEEN.@[{at}]);" for at in range(one.slots))
        return name, f"__u64 @[{one.slots}]", "\n\t".join(calls)
    if is_plainly_loaded(one.type) if is_traced else stub.attach == "raw_tp" or one.is_loaded:
        return _scalar(one.type, name, f"{stub.title}__{name}(ctx)")
    if is_traced and stub.has_func_arg:
        is_return = member is stub.members[-1] and len(stub.members) > len(stub.arguments)
        get = "probe_scout_func_ret((void *)ctx, " if is_return else f"probe_scout_func_arg((void *)ctx, {one.slot}, "
        return name, "__u64 @", f"{get}&SEEN.@);"
    return name, "", f"/* {declared} {name}: not every verifier lets it be loaded */"


def _scalar(one: PlainType, name: str, value: str) -> Kept:
    if one.kind == "pointer":
        return name, "__u64 @", f"SEEN.@ = (__u64){value};"
    return name, f"{c_struct.spelled(one)}@", f"SEEN.@ = {value};"


def _of_registers(stub: Stub) -> list[Kept]:
    found = []
    where = places_of(stub)
    for one, place in zip(stub.arguments, where, strict=True):
        name = words.c(one.name)
        call = f"{stub.title}__{name}"
        if not place.registers and place.stack is None:
            continue
        if one.type.kind == "struct":
            found.append((name, f"__u64 @[{one.slots}]", f"{call}(ctx, SEEN.@);"))
            continue
        found.append(_scalar(one.type, name, f"{call}(ctx)"))
        if stub.attach == "ksyscall" and one.type.target == "char":
            read = f"probe_scout_read_user_str(SEEN.@, {KEPT_BYTES}, {call}(ctx));"
            found.append((f"{name}_text", f"char @[{KEPT_BYTES}]", read))
    returns = stub.returns
    if stub.attach in RETURNS and returns is not None and returns.kind not in ("void", "struct"):
        found.append(_scalar(returns, "ret", f"{stub.title}__ret(ctx)"))
    return found


def _of_core(stub: Stub) -> list[Kept]:
    found = []
    for one, name in core_relocatable.named(stub):
        for mark in core_relocatable.MARKS:
            if one.name.startswith(mark) and one.size == 4:
                base = name.removeprefix(mark)
                call = f"{stub.core}__{base}"
                found.append((f"{base}_len", "__u32 @", f"SEEN.@ = {call}_len(ctx);"))
                kind = "char" if core_relocatable.is_text(stub, base) else "__u8"
                found.append((base, f"{kind} @[{KEPT_BYTES}]", f"{call}_read(ctx, SEEN.@, {KEPT_BYTES});"))
                break
        else:
            if one.elements is None and one.type.kind in ("int", "bool", "enum"):
                kind = c_struct.integer(one.type.size, one.type.signed)
                found.append((name, f"{kind} @", f"SEEN.@ = ctx->{name};"))
            elif one.elements is None and one.type.kind == "pointer":
                found.append((name, "__u64 @", f"SEEN.@ = (__u64)ctx->{name};"))
            else:
                read = f"probe_scout_read_kernel(SEEN.@, {one.size}, &ctx->{name});"
                kind, count = "__u8", one.size
                if one.type.kind in ("int", "enum") and one.elements is not None:
                    kind, count = c_struct.integer(one.type.size, one.type.signed), one.elements
                    kind = "char" if one.type.text == "char" else kind
                found.append((name, f"{kind} @[{count}]", read))
    return found
