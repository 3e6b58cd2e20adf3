"""Write BTF types as C declarations, for people.

The spelling is the kernel's: type tags as `__user`, `__rcu`, `__percpu`; anonymous structs as `struct {...}`.
"""

from __future__ import annotations

from probe_scout.model.prototype import Arg, Prototype

from .kinds import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    KIND_FLAG,
    KIND_MASK,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VLEN_MASK,
    VOLATILE,
    Func,
    Types,
)

# C needs few of these for one declaration. Function types can name each other without end, so the count is bounded.
_TYPES_MAX = 4096
_DEPTH_MAX = 16

_QUALIFIERS = {CONST: "const", VOLATILE: "volatile", RESTRICT: "restrict"}
_KEYWORDS = {STRUCT: "struct ", UNION: "union ", ENUM: "enum ", ENUM64: "enum "}
_NAMED = (INT, FLOAT, TYPEDEF)


def prototype(btf: Types, func: Func) -> Prototype:
    """The function's declaration. Raises Malformed where a type id, a string or a chain of types is broken."""
    owner, at = btf.locate(func.proto_id)
    words = owner.words
    if words[at] >> 24 & KIND_MASK != FUNC_PROTO:
        raise owner.malformed_at(at, f"type {func.proto_id} to be a FUNC_PROTO")
    writer = _Writer(owner)
    params = writer.params(owner, at)
    variadic = bool(params) and params[-1][1] == 0
    if variadic:
        params.pop()
    codes = btf.codes()
    args = tuple(Arg(name, writer.declare(owner, type_id, "", 0), codes[type_id] >> 3) for name, type_id in params)
    return Prototype(
        func.name,
        args,
        variadic,
        writer.declare(owner, words[at + 1], "", 0),
        codes[words[at + 1]] >> 3,
        writer.declare(owner, func.proto_id, func.name, 0),
    )


def declaration(btf: Types, type_id: int, name: str = "") -> str:
    """A type as C writes it, with the name it declares or alone. Raises Malformed."""
    return _Writer(btf).declare(btf, type_id, name, 0)


class _Writer:
    """Writes the types of one declaration and counts them."""

    def __init__(self, btf: Types) -> None:
        self._btf, self._types = btf, 0

    def declare(self, btf: Types, type_id: int, inner: str, depth: int) -> str:
        """The declaration of `inner` with a type; the type alone if inner is ""."""
        before: list[str] = []  # const, volatile: written before a base type, after the star of a pointer
        after: list[str] = []  # type tags: written after a base type
        base = "void"
        at = 1
        while type_id:
            asked_at = at
            btf_of, at = btf.locate(type_id, asked_at)
            words = btf_of.words
            info = words[at]
            kind = info >> 24 & KIND_MASK
            self._count(btf_of, at, depth)
            if kind in _QUALIFIERS:
                before.append(_QUALIFIERS[kind])
            elif kind == TYPE_TAG:
                tag = btf_of.string(words[at - 1], at)
                # With kind_flag the tag is any attribute, without it btf_type_tag (Documentation/bpf/btf.rst).
                after.append(f"__attribute__(({tag}))" if info & KIND_FLAG else f"__{tag}")
            elif kind == PTR:
                inner = "*" + " ".join([*before, *after, *([inner] if inner else [])])
                before, after = [], []
            elif kind == ARRAY:
                inner = f"({inner})" if inner.startswith("*") else inner
                inner += f"[{words[at + 4]}]"
                type_id = words[at + 2]
                continue
            elif kind == FUNC_PROTO:
                inner = f"({inner})" if inner.startswith("*") else inner
                inner += f"({self._param_list(btf_of, at, depth + 1)})"
            else:
                base = self._base(btf_of, at)
                break
            type_id, btf = words[at + 1], btf_of
        return " ".join([*before, base, *after, *([inner] if inner else [])])

    def params(self, btf: Types, at: int) -> list[tuple[str, int]]:
        """Name and type id of each parameter of a FUNC_PROTO."""
        words = btf.words
        places = range(at + 2, at + 2 + 2 * (words[at] & VLEN_MASK), 2)
        return [(btf.string(words[place], at), words[place + 1]) for place in places]

    def _param_list(self, btf: Types, at: int, depth: int) -> str:
        params = self.params(btf, at)
        if not params:
            return "void"
        last = len(params) - 1
        return ", ".join(
            "..." if i == last and not type_id else self.declare(btf, type_id, name, depth)
            for i, (name, type_id) in enumerate(params)
        )

    def _base(self, btf: Types, at: int) -> str:
        info = btf.words[at]
        kind = info >> 24 & KIND_MASK
        name = btf.string(btf.words[at - 1], at)
        if kind in _NAMED and name:
            return name
        if kind == FWD:
            return ("union " if info & KIND_FLAG else "struct ") + name
        if kind in _KEYWORDS:
            return _KEYWORDS[kind] + (name or "{...}")
        if kind > ENUM64:
            return f"{name or '?'} /* BTF kind {kind} */"
        raise btf.malformed_at(at, "a type that a declaration can name", f"kind {kind}")

    def _count(self, btf: Types, at: int, depth: int) -> None:
        self._types += 1
        if self._types > _TYPES_MAX or depth > _DEPTH_MAX:
            raise btf.malformed_at(at, f"a declaration of at most {_TYPES_MAX} types, {_DEPTH_MAX} deep")
