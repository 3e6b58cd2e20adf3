"""The context of a program as arguments: words of ctx for BTF-typed programs, registers for kprobes.

kernel/bpf/btf.c, btf_ctx_access: each argument begins at a word of 8 bytes, the return value stands behind the last;
prog_args_trusted says which pointers the verifier trusts. Registers: include/linux/bpf_trace.h, arch/registers.py.
"""

from __future__ import annotations

from ..arch.registers import REGISTERS_OF
from ..formats.btf import tracepoint as btf_trace
from ..model.attach import ITER
from ..model.context import ContextField
from ..model.verdict import NO, UNKNOWN, YES
from .tracepoints.raw_arguments import TraceTypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..formats.btf.kinds import Func
    from ..formats.btf.reader import Btf
    from ..formats.image.iterators import Argument
    from ..kernel.kernel import Kernel
    from ..model.trace import RawArgument

_WORD = 8
_UNTRUSTED_HOOKS = "untrusted_lsm_hooks"
_ACCESS = {"value": YES, "unreadable": NO}
_SCALAR, _POINTER = "scalar_value", "ptr_to_btf_id"


def typed(
    k: Kernel, btf: Btf, func: Func, attach: str, returns: bool, registered: tuple[Argument, ...] | None = None
) -> tuple[ContextField, ...]:
    """Words of ctx of fentry and its like, of lsm hooks and iterators; `returns`: with the function's result behind.

    `registered`: what an iterator says of its arguments, None where that is not known.
    """
    types = TraceTypes(k)
    trusted = _trusted(k, func.name, attach)
    found: list[ContextField] = []
    at = 0
    for param in btf_trace.parameters(btf, func.proto_id, skipped=0):
        access, says = types.loadable(param.shape, param)
        may_be_null, is_trusted = (YES if param.name.endswith("__nullable") else NO), trusted
        if attach in ITER:
            may_be_null, is_trusted = _iterated(registered, at * _WORD, trusted)
        found.append(
            _word(param.name, param.type, at, param.size, param.shape, _ACCESS.get(access, UNKNOWN))._replace(
                may_be_null=may_be_null if param.shape == "struct_pointer" else NO,
                trusted=is_trusted if param.shape == "struct_pointer" else None,
                says=says or _says(param.shape, param.size),
            )
        )
        at += max(1, (param.size + _WORD - 1) // _WORD)
    result = btf.prototype(func)
    if returns and result.return_type != "void":
        shape = "struct_pointer" if result.return_type.startswith("struct ") and "*" in result.return_type else "scalar"
        shape = "pointer" if "*" in result.return_type and shape == "scalar" else shape
        found.append(_word("(returned)", result.return_type, at, result.return_bytes, shape, YES))
    return tuple(found)


def _word(name: str, type_: str, slot: int, size: int, shape: str, read: str) -> ContextField:
    value = _POINTER if shape == "struct_pointer" else _SCALAR
    with_ = "" if shape in ("scalar", "struct", "struct_pointer") else _reader(type_)
    return ContextField(name, type_, _WORD * slot, size, slot, read, NO, value, read_with=with_)


def _iterated(
    registered: tuple[Argument, ...] | None, offset: int, knows_trusted: bool | None
) -> tuple[str, bool | None]:
    """NULL, and trusted. The first is ctx->meta, which no iterator registers; each says the rest of its own arguments.

    kernel/bpf/task_iter.c: the task is trusted, a file or vma is not.
    """
    if registered is None and offset:
        return UNKNOWN, None
    for one in registered or ():
        if one.offset == offset:
            return (YES if one.may_be_null else NO), (one.is_trusted if knows_trusted is not None else None)
    return NO, knows_trusted


def _trusted(k: Kernel, name: str, attach: str) -> bool | None:
    """kernel/bpf/btf.c, prog_args_trusted; None where nothing shows whether this kernel has trusted pointers."""
    knows = k.enumerator("PTR_TRUSTED")
    if not knows:
        return None
    if attach in ITER or attach == "tp_btf":
        return True
    if attach.startswith("lsm"):
        ids = k.ids()
        return name not in ids.sets.get(_UNTRUSTED_HOOKS, ()) if ids.visible else None
    return False


def _reader(type_: str) -> str:
    text = type_.replace("const", "").replace(" ", "")
    return "bpf_probe_read_kernel_str" if text == "char*" else "bpf_probe_read_kernel"


def _says(shape: str, size: int) -> str:
    if shape == "scalar" and size < _WORD:
        return f"low {size} byte{'s' if size > 1 else ''} of the word"
    if shape == "struct":
        return f"by value, {size} bytes"
    return "loads through it are direct" if shape == "struct_pointer" else ""


def raw(arguments: Sequence[RawArgument], is_typed: bool, k: Kernel) -> tuple[ContextField, ...]:
    """Words of ctx of tp_btf (`is_typed`) and raw_tp programs."""
    found = []
    for one in arguments:
        read = _ACCESS.get(one.access, UNKNOWN) if is_typed else YES
        pointer = is_typed and one.shape == "struct_pointer"
        with_ = (one.read_with or "") if not pointer else ""
        field = _word(one.name, one.type, one.slot, one.size, one.shape if is_typed else "scalar", read)
        found.append(
            field._replace(
                may_be_null=one.nullable if pointer else NO,
                trusted=_trusted(k, "", "tp_btf") if pointer else None,
                read_with=with_,
                says=one.says
                or (one.nullable_why if pointer else _says(one.shape, one.size) if one.size < _WORD else ""),
            )
        )
    return tuple(found)


def registers(k: Kernel, btf: Btf, func: Func, is_return: bool) -> tuple[ContextField, ...]:
    """struct pt_regs as far as arguments lie in it; of a return probe the result's register."""
    row = REGISTERS_OF.get(k.arch())
    if row is None:
        return ()
    offsets = _offsets(row.members)
    found = btf.prototype(func)
    if is_return:
        if found.return_type == "void":
            return ()
        return (
            _register("(returned)", found.return_type, row.returned, offsets, "PT_REGS_RC(ctx)", found.return_bytes),
        )
    fields = []
    params = btf_trace.parameters(btf, func.proto_id, skipped=0)
    for place, param in enumerate(params):
        if param.shape == "struct" or place >= len(row.call):
            says = "by value or on the stack: probe-scout stub tells where"
            fields.append(ContextField(param.name, param.type, None, param.size, None, UNKNOWN, NO, says=says))
            continue
        how = f"PT_REGS_PARM{place + 1}(ctx)"
        fields.append(_register(param.name, param.type, row.call[place], offsets, how, param.size))
        if any(one.shape == "struct" for one in params[:place]):
            fields[-1] = fields[-1]._replace(
                offset=None, read=UNKNOWN, says="behind a struct by value: see probe-scout stub"
            )
    return tuple(fields)


def _offsets(members: Sequence[tuple[str, int, int]]) -> dict[str, int]:
    found = {}
    for name, offset, count in members:
        found[name] = offset
        found.update({f"{name}[{n}]": offset + _WORD * n for n in range(count)} if count > 1 else {})
    return found


def _register(name: str, type_: str, register: str, offsets: dict[str, int], how: str, size: int) -> ContextField:
    with_ = _reader(type_) if "*" in type_ else ""
    says = f"register {register}, {how}" + (f", low {size} bytes" if 0 < size < _WORD else "")
    return ContextField(name, type_, offsets.get(register), size, None, YES, NO, read_with=with_, says=says)
