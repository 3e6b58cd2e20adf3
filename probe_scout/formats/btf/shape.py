"""Reduce a BTF FUNC_PROTO to its Shape, as kernel/bpf/btf.c (btf_distill_func_proto, __get_type_size) sees it.

What each kernel then refuses is for the rules. 25,000 prototypes of one kernel share some thousand shapes, and their
parameters some thousand types, so both are kept by what they are made of.
"""

from __future__ import annotations

from probe_scout.model.prototype import Shape

from .kinds import ENUM, ENUM64, FUNC_PROTO, INT, KIND_MASK, POINTER_BYTES, PTR, STRUCT, UNION, VLEN_MASK, Types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# A parameter's code: its size in bytes times 8, plus one of these.
_INTEGER, _SCALAR, _STRUCT, _UNION, _BAD, _VOID, _ITERATOR = range(7)
_CLASSES = {INT: _INTEGER, PTR: _SCALAR, ENUM: _SCALAR, ENUM64: _SCALAR, STRUCT: _STRUCT, UNION: _UNION}
_ITERATOR_META = "bpf_iter_meta"  # the struct whose pointer an iterator takes first


class Codes(dict[int, int]):
    """Type id to code, filled as asked. Raises Malformed for an id or a chain that leads nowhere."""

    def __init__(self, btf: Types) -> None:
        super().__init__()
        self._btf = btf

    def __missing__(self, type_id: int) -> int:
        owner, at = self._btf.skip_modifiers(type_id)
        if at:
            kind = owner.words[at] >> 24 & KIND_MASK
            group = _CLASSES.get(kind, _BAD)
            size = POINTER_BYTES if kind == PTR else 0 if group == _BAD else owner.words[at + 1]
            if kind == PTR and owner.points_to(at, _ITERATOR_META):
                group = _ITERATOR
        else:
            # __get_type_size takes id 0 for void, of size 0, but a qualified void has no size at all.
            group, size = (_BAD if type_id else _VOID), 0
        self[type_id] = code = size << 3 | group
        return code


class Shapes(dict[int, Shape]):
    """FUNC_PROTO id to Shape, filled as asked. Raises Malformed for an id that is none and for a broken prototype."""

    def __init__(self, btf: Types) -> None:
        super().__init__()
        self._btf = btf
        self._known: dict[tuple[int, ...], Shape] = {}
        self.codes = Codes(btf)

    def __missing__(self, proto_id: int) -> Shape:
        owner, at = self._btf.locate(proto_id)
        words = owner.words
        info = words[at]
        if info >> 24 & KIND_MASK != FUNC_PROTO:
            raise owner.malformed_at(at, f"type {proto_id} to be a FUNC_PROTO", f"kind {info >> 24 & KIND_MASK}")
        types = words[at + 3 : at + 2 + 2 * (info & VLEN_MASK) : 2]
        code_of = self.codes.__getitem__
        key = (code_of(words[at + 1]), *map(code_of, types))
        self[proto_id] = shape = self._known.get(key) or self._reduce(key)
        return shape

    def fill(self, proto_ids: Iterable[int]) -> None:
        """Makes the shapes of this blob's prototypes among these: the same as asking for each, without the calls."""
        btf, known, code_of = self._btf, self._known, self.codes.__getitem__
        starts, first, words = btf.starts(), btf.first_id(), btf.words
        end = first + len(starts)
        for proto_id in proto_ids:
            at = starts[proto_id - first] if first <= proto_id < end else 0
            info = words[at]
            # What is in the base, or broken, is left to __missing__.
            if at and info >> 24 == FUNC_PROTO:
                key = (code_of(words[at + 1]), *map(code_of, words[at + 3 : at + 2 + 2 * (info & VLEN_MASK) : 2]))
                self[proto_id] = known.get(key) or self._reduce(key)

    def _reduce(self, key: tuple[int, ...]) -> Shape:
        self._known[key] = shape = _shape(*key)
        return shape


def _shape(returned: int, *args: int) -> Shape:
    first = args[0] & 7 if args else _VOID
    # btf_distill_func_proto counts the `...` among the arguments; what its limit is compared with lacks it here, for a
    # variadic function is refused anyway, with the same errno.
    variadic = bool(args) and args[-1] & 7 == _VOID
    if variadic:
        args = args[:-1]
    sizes = [code >> 3 for code in args]
    groups = [code & 7 for code in args]
    unions = groups.count(_UNION)
    return_bytes, return_group = returned >> 3, returned & 7
    return Shape(
        nargs=len(args),
        variadic=variadic,
        slots=sum((size + 7) // 8 for size in sizes),
        struct_args=groups.count(_STRUCT) + unions,
        union_args=unions,
        # Above 16 bytes an argument is refused, whatever it is; a result is refused for its kind, and in newer kernels
        # where attach_uses_trampoline_retval (kernel/bpf/verifier.c) above 8 bytes.
        big_struct_arg=max(sizes, default=0) > 16,
        zero_arg=any(not size and group != _BAD for size, group in zip(sizes, groups, strict=True)),
        bad_arg=_BAD in groups,
        ret_struct=return_group in (_STRUCT, _UNION),
        ret_bad=return_group == _BAD,
        ret_bytes=return_bytes,
        ret_int_like=return_group == _INTEGER and return_bytes <= 8,
        first_arg_struct=_ITERATOR_META if first == _ITERATOR else "",
    )
