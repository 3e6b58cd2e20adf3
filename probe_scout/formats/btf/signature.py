"""Prototypes in a form that can be compared between kernels: no type ids, only C text and sizes.

Two ways in: `signature` writes one function's, `table` those of every FUNC of a blob, sharing what repeats.
"""

from __future__ import annotations

from .declaration import declaration
from .kinds import FUNC_PROTO, KIND_MASK, VLEN_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kinds import Func
    from .reader import Btf

# The return value, then each parameter: name, type as C, size in bytes. The return value has no name. A variadic
# function ends with ("", "...", 0).
Part = tuple[str, str, int]
Signature = tuple[Part, ...]
_VARIADIC: Part = ("", "...", 0)


class Signatures:
    """Signatures of one blob, made as asked. `base` shares the types of vmlinux with its modules."""

    __slots__ = ("_btf", "_known", "_parts", "_texts")

    def __init__(self, btf: Btf, base: Signatures | None = None) -> None:
        self._btf = btf
        self._texts: dict[int, tuple[str, int]] = {} if base is None else dict(base._texts)
        self._parts: dict[int, Part] = {}
        self._known: dict[int, Signature] = {}

    def of_proto(self, proto_id: int) -> Signature:
        """The signature of a FUNC_PROTO. Raises Malformed for another kind of type and for broken types."""
        found = self._known.get(proto_id)
        if found is None:
            owner, at = self._btf.locate(proto_id)
            words = owner.words
            info = words[at]
            if info >> 24 & KIND_MASK != FUNC_PROTO:
                raise owner.malformed_at(at, f"type {proto_id} to be a FUNC_PROTO", f"kind {info >> 24 & KIND_MASK}")
            end = at + 2 + 2 * (info & VLEN_MASK)
            parts = self._parts
            made = [self._part(0, words[at + 1], at)]
            for place in range(at + 2, end, 2):
                name, type_id = words[place], words[place + 1]
                if not type_id and place == end - 2:
                    made.append(_VARIADIC)
                    continue
                part = parts.get(name << 32 | type_id)
                made.append(part if part is not None else self._part(name, type_id, at))
            found = self._known[proto_id] = tuple(made)
        return found

    def _part(self, name: int, type_id: int, at: int) -> Part:
        text = self._texts.get(type_id)
        if text is None:
            text = self._texts[type_id] = declaration(self._btf, type_id), self._btf.codes()[type_id] >> 3
        part = self._parts[name << 32 | type_id] = (self._btf.string(name, at) if name else "", *text)
        return part


def signature(btf: Btf, func: Func) -> Signature:
    """The signature of one function. Raises Malformed as `Signatures.of_proto` does."""
    return Signatures(btf).of_proto(func.proto_id)


def table(btf: Btf, base: Signatures | None = None) -> dict[str, Signature]:
    """Function name to signature, for every FUNC of this blob; the first FUNC of a name that has several."""
    made = Signatures(btf, base)
    starts, first, words = btf.starts(), btf.first_id(), btf.words
    of_proto = made.of_proto
    # The word behind a FUNC's info is the id of its FUNC_PROTO.
    return {name: of_proto(words[starts[ids[0] - first] + 1]) for name, ids in btf.functions().items()}


def prototype_line(name: str, found: Signature) -> str:
    """One line for people: `ssize_t vfs_read(struct file *file, …)`."""
    returns, *rest = found
    return f"{argument((name, *returns[1:]))}({', '.join(map(argument, rest)) or 'void'})"


def argument(part: Part) -> str:
    """One parameter for people: its type and its name."""
    name, text, _ = part
    if not name:
        return text
    return text + name if text.endswith("*") else f"{text} {name}"
