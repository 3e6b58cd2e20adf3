"""From typed arguments to the words of ctx: raw and typed tracepoints, fentry and fexit, kprobes.

include/trace/bpf_probe.h (raw tracepoints), arch/*/net/bpf_jit_comp.c (trampolines: 8-byte slots, the return
value behind the last), include/linux/bpf_trace.h and tools/lib/bpf/bpf_tracing.h (registers).
"""

from __future__ import annotations

from ...arch.registers import REGISTERS_OF as REGISTERS_OF
from ...model.stub import ARRAY, INTEGER, POINTER, REGISTERS, SLOTS, Argument, Member, PlainType, Stub, StubPlace
from ...named_tuple import NamedTuple
from . import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SLOT_BYTES = 8
RETURN = "ret"


Place = StubPlace
RETURNS = ("kretprobe", "uretprobe")


def raw(target: str, attach: str, arguments: Sequence[Argument], event: str) -> Stub:
    """The stub of a raw_tp or tp_btf program: one word for each argument."""
    return _slots(
        Stub(target, attach, words.identifier(f"{attach}_{target}"), f"{attach}/{target}", SLOTS),
        arguments,
        None,
    )._replace(
        facts=(f"raw tracepoint {target}" + (f" (event {event})" if event else ""),),
        notes=("ctx is this array of arguments, never the record: no struct trace_event_raw_ fits here.",),
    )


def traced(
    name: str,
    attach: str,
    module: str | None,
    arguments: Sequence[Argument],
    returns: PlainType,
    declaration: str,
    has_func_arg: bool,
) -> Stub:
    """The stub of an fentry or fexit program: the arguments' words, and behind them what the function returns."""
    stub = Stub(
        name,
        attach,
        words.identifier(f"{attach}_{name}"),
        f"{attach}/{name}",
        SLOTS,
        returns=returns,
        has_func_arg=has_func_arg,
        facts=(f"function {f'{module}:' if module else ''}{name}", declaration),
    )
    notes = []
    if attach == "fexit":
        notes.append(
            "Argument values are those at entry: what the function later assigned to its arguments is not seen."
        )
        if returns.kind == "void":
            notes.append("The function returns void: there is no return value.")
    else:
        notes.append("The function has not run yet: there is no return value.")
    stub = _slots(stub, arguments, returns if attach == "fexit" and returns.kind != "void" else None)
    return stub._replace(notes=(*stub.notes, *notes))


def probed(
    name: str,
    attach: str,
    arch: str,
    arguments: Sequence[Argument],
    returns: PlainType | None,
    declaration: str,
    section: str,
    inner: bool = False,
    notes: Sequence[str] = (),
) -> Stub:
    """The stub of a kprobe, kretprobe or ksyscall program: ctx is struct pt_regs."""
    registers = REGISTERS_OF[arch]
    members = tuple(
        Member(title, INTEGER if count == 1 else ARRAY, offset, 8 * count, 8, False, "")
        for title, offset, count in registers.members
    )
    said = list(notes)
    if attach == "kretprobe":
        said.append(
            "At the return the argument registers hold other values: keep what you need at entry, or use fexit."
        )
        said.append(
            "The kernel follows a limited number of calls at a time (kernel/kprobes.c, maxactive): returns of more are "
            "not seen."
        )
        if returns is None or returns.kind == "void":
            said.append("The function returns void: there is no return value either.")
        arguments = ()
    elif attach == "kprobe":
        said.append(
            "The function has not run yet: there is no return value. Upper halves of narrow integers are undefined."
        )
    return Stub(
        name,
        attach,
        words.identifier(f"{attach}_{name}"),
        section,
        REGISTERS,
        members,
        registers.size,
        registers.size,
        tuple(arguments),
        returns,
        arch=arch,
        inner=inner,
        facts=(
            f"function {name}" if attach != "ksyscall" else f"system call {name}",
            *((declaration,) if declaration else ()),
            f"registers of {arch}",
        ),
        notes=tuple(said),
    )


def places(arch: str, arguments: Sequence[Argument], system_call: bool = False) -> tuple[Place, ...]:
    """Where each argument lies when the function is entered."""
    registers = REGISTERS_OF[arch]
    free = list(registers.system_call if system_call else registers.call)
    found = []
    stack = registers.stack
    lost = ""
    for one in arguments:
        if lost:
            found.append(Place(says=lost))
        elif one.type.kind == "struct":
            if not registers.struct_words:
                lost = "where structs by value lie is not known for this architecture"
                found.append(Place(says=lost))
            elif one.slots <= registers.struct_words and one.slots <= len(free):
                found.append(Place(tuple(free[: one.slots])))
                del free[: one.slots]
            else:
                found.append(Place(stack=stack))
                stack += SLOT_BYTES * one.slots
        elif free:
            found.append(Place((free.pop(0),)))
        else:
            found.append(Place(stack=stack))
            stack += SLOT_BYTES
    return tuple(found)


class Value(NamedTuple):
    """An argument, or the return value, as an expression of the registers' members; where it lies, in words.

    `registers`: one for a word, several for a struct by value; () where it lies `stack` bytes above the stack
    pointer, or, with `stack` None, where nobody can tell.
    """

    argument: Argument
    registers: tuple[str, ...]
    stack: int | None
    says: str
    base: str


def places_of(stub: Stub) -> tuple[Place, ...]:
    """Where each argument of a stub of REGISTERS lies."""
    return stub.where or places(stub.arch, stub.arguments, stub.attach == "ksyscall")


def values(stub: Stub) -> tuple[Value, ...]:
    """What a stub of REGISTERS reads: the arguments in their order; of kretprobe the return value."""
    registers = REGISTERS_OF[stub.arch]
    found = []
    for one, place in zip(stub.arguments, places_of(stub), strict=True):
        leads = memory(one.type)
        base = place.base or registers.pointer
        said = [f"{one.type.text} {one.name}".strip(), _where(place, base), *([leads] if leads else [])]
        found.append(Value(one, place.registers, place.stack, "; ".join(said), base))
    back = stub.returns
    if stub.attach in RETURNS and back is not None and back.kind != "void":
        is_word = back.kind != "struct" or back.size <= SLOT_BYTES
        said = [f"returns {back.text}"] + ([] if is_word else ["by value: not in one register"])
        found.append(Value(Argument(RETURN, back, 0, 1), (registers.returned,) * is_word, None, "; ".join(said), ""))
    return tuple(found)


def _where(place: Place, pointer: str) -> str:
    if place.registers:
        return "register " + " and ".join(place.registers)
    if place.stack is None:
        return place.says
    return f"{'in memory' if place.base else 'on the stack'} at {pointer} + {place.stack}"


INNER = (
    "These are methods of the inner registers, which the first register of ctx points to: read them from there into "
    "this struct with bpf_probe_read_kernel."
)


def is_plainly_loaded(one: PlainType) -> bool:
    """Every kernel lets an fentry or fexit program load this word from ctx.

    kernel/bpf/btf.c btf_ctx_access: integers, enums, void *, char *, pointers to structs. 5.10 refuses other
    pointers even as values; later kernels differ in which they take.
    """
    if one.kind in ("int", "bool", "enum"):
        return True
    return one.kind == "pointer" and one.target in ("void", "char", one.struct) and one.text.count("*") == 1


def memory(one: PlainType, is_followed: bool = False) -> str:
    """Where a pointer leads to, and what reads it; "" for what is no pointer.

    `is_followed`: programs of this type follow pointers to structs by a plain load, for which "" is the answer.
    """
    if one.kind != "pointer":
        return ""
    text = "_str" if one.target == "char" else ""
    if one.user:
        return f"user memory: bpf_probe_read_user{text}"
    if one.struct:
        return "" if is_followed else "kernel memory unless the source says __user: bpf_probe_read_kernel"
    return (
        "types do not tell whether it leads to user or kernel memory: "
        f"bpf_probe_read_user{text} or bpf_probe_read_kernel{text}"
    )


def _slots(stub: Stub, arguments: Sequence[Argument], returns: PlainType | None) -> Stub:
    members = []
    at = 0
    for one in arguments:
        size = SLOT_BYTES * one.slots
        kind = POINTER if one.type.kind == "pointer" else INTEGER if one.slots == 1 else ARRAY
        members.append(
            Member(
                one.name,
                kind,
                at,
                size,
                8,
                False,
                one.type.text,
                _says(one, stub.attach),
                argument=one,
            )
        )
        at += size
    if returns is not None:
        taken = {one.name for one in arguments}
        name = RETURN if RETURN not in taken else "returned"
        argument = Argument(name, returns, at // SLOT_BYTES, 1)
        kind = POINTER if returns.kind == "pointer" else INTEGER
        members.append(
            Member(name, kind, at, SLOT_BYTES, 8, False, returns.text, "what the function returns", argument=argument)
        )
        at += SLOT_BYTES
    return stub._replace(members=tuple(members), size=at, end=at, arguments=tuple(arguments))


def _says(one: Argument, attach: str) -> str:
    said = []
    if one.type.kind in ("int", "bool", "enum") and one.type.size < SLOT_BYTES:
        said.append(f"low {one.type.size} byte{'s' if one.type.size > 1 else ''}")
    if one.type.kind == "struct":
        said.append(f"by value, {one.type.size} bytes")
    where = memory(one.type, attach != "raw_tp")
    if where and attach in ("raw_tp", "tp_btf"):
        where = "kernel memory unless the source says __user: " + (
            "bpf_probe_read_kernel_str" if one.type.target == "char" else "bpf_probe_read_kernel"
        )
    if where:
        said.append(where)
    if one.nullable == "yes":
        said.append("may be NULL: check before following it")
    return ", ".join(said)
