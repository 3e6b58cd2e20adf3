"""Which arguments of an iterator's programs may be NULL, and which the verifier trusts, out of struct bpf_iter_reg.

kernel/bpf/btf.c, btf_ctx_access: an argument that the iterator registers (ctx_arg_info) has the register type that
stands there; any other pointer to a struct is trusted (prog_args_trusted). The structs are static data, one for each
target, in variables whose names have `reg`.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .facts import Facts

_STRUCT, _ARGUMENT = "bpf_iter_reg", "bpf_ctx_arg_aux"
_ARGUMENTS_MAX = 8
_NAMED = "reg"
_OLD_NULL = "_OR_NULL"  # before bpf_type_flag: enumerators of their own


class Argument(NamedTuple):
    """One that the iterator registers, at an offset of the context in bytes."""

    offset: int
    may_be_null: bool
    is_trusted: bool


def arguments(facts: Facts, target: str) -> tuple[Argument, ...] | None:
    """Of the iterator `task` and its like; None where the image does not show its struct."""
    at = {name: facts.offset(_STRUCT, name) for name in ("target", "ctx_arg_info_size", "ctx_arg_info")}
    offset_at, type_at, step = (
        facts.offset(_ARGUMENT, "offset"),
        facts.offset(_ARGUMENT, "reg_type"),
        facts.size(_ARGUMENT),
    )
    where, count_at, first_at = at["target"], at["ctx_arg_info_size"], at["ctx_arg_info"]
    if where is None or count_at is None or first_at is None or offset_at is None or type_at is None or not step:
        return None
    flags, types = (facts.records().btf.enumerators(name) for name in ("bpf_type_flag", "bpf_reg_type"))
    null, trusted = flags.get("PTR_MAYBE_NULL", 0), flags.get("PTR_TRUSTED", 0)
    old = {value for name, value in types.items() if name.endswith(_OLD_NULL)}
    found = []
    for address in facts.addresses_of(_NAMED):
        pointer = facts.pointer(address + where)
        count = facts.number(address + count_at, 4)
        if pointer and count <= _ARGUMENTS_MAX and facts.string(pointer) == target:
            rows = []
            for one in range(address + first_at, address + first_at + step * count, step):
                kind = facts.number(one + type_at, 4)
                is_null = bool(kind & null) if flags else kind in old
                rows.append(Argument(facts.number(one + offset_at, 4), is_null, bool(kind & trusted)))
            found.append(tuple(rows))
    return found[0] if len(set(found)) == 1 else None
