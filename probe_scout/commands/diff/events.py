"""Trace events of two kernels: which are in one alone, what differs in the record, the arguments and the answers.

Fields are compared by name. The common fields are the same for all events of a kernel and are compared once; what they
push along moves in every event and is told for each. A bare tracepoint has arguments and no record.
"""

from __future__ import annotations

from ...errors import SourceError
from ...model import facts
from ...model.diff import APPEARED, CHANGED, GONE, MOVED, EventChange, FieldChange, FieldPlace, Gap
from ...model.facts import Unread
from ...model.trace import DATA_LOC, REL_LOC, STRING
from ...named_tuple import NamedTuple
from ...probes.attach import function_traits
from ...probes.tracepoints import listing as events
from .functions import argument_changes, loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...formats.btf.signature import Signature
    from ...kernel.kernel import Kernel
    from ...model.diff import ArgumentChange
    from ...model.trace import TraceField, TraceFormat
    from ...model.traits import EventTraits
    from .judged import Answers

    Key = tuple[str, str]  # category ("" for a bare tracepoint) and name

_VOID = ("", "void", 0)
_ITERATOR = b"__traceiter_"


class Found(NamedTuple):
    """What `compare` found; `alone` counts events of modules that one side alone has loaded.

    `left_out`: those that a slice, on the other side, may just not hold.
    """

    changes: Sequence[EventChange] = ()
    in_a: int = 0
    in_b: int = 0
    same: int = 0
    untold: int = 0
    common: tuple[FieldChange, ...] = ()
    alone: Mapping[tuple[str, str], int] = {}
    gaps: tuple[Gap, ...] = ()
    left_out: int = 0


class Side:
    """One kernel's events."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        listed = events.listed(k)
        self.names: dict[Key, None] = dict.fromkeys(listed)
        self.names.update(dict.fromkeys(("", name) for name in events.bare(k, listed)))
        self.modules = loaded(k)
        self.missing: list[SourceError] = []  # format files that could not be read
        self._owners: dict[str, str] | None = None
        self._arguments: dict[str, Signature] | None = None

    def format_of(self, key: Key) -> TraceFormat | None:
        """The event's fields as programs find them; None for a bare tracepoint and where there is no such file.

        Raises Malformed.
        """
        from ...formats.text import trace_format
        from ...probes.tracepoints import syscall_copy
        from ...rules.tracepoint_access import as_programs_see

        category, name = key
        if not category:
            return None
        path = f"{events.EVENTS}/{category}/{name}/format"
        try:
            fmt = trace_format.parse(self.k.read(path), path, category)
        except SourceError as error:
            self.missing.append(error)
            return None
        return as_programs_see(fmt, syscall_copy.layout(self.k, name)) if category == "syscalls" else fmt

    def gap(self) -> Unread | None:
        """Why some records were not compared; None if all were."""
        if not self.missing:
            return None
        first = self.missing[0]
        more = f" and {len(self.missing) - 1} more" if len(self.missing) > 1 else ""
        return Unread(facts.EVENTS, first.kind, f"{first.path}{more}: {first.why}", first.cure)

    def owner(self, name: str) -> str | None:
        """The module that defines this tracepoint; None for vmlinux and where it is not told."""
        if self._owners is None:
            from ...formats.text import kallsyms

            raw = self.k.kallsyms() or b""
            part = raw[kallsyms.modules_begin(raw) :]
            self._owners = {}
            for line in part.split(b"\n"):
                head, _, module = line.partition(b"\t")
                symbol = head.rpartition(b" ")[2]
                if symbol.startswith(_ITERATOR):
                    name_of = symbol[len(_ITERATOR) :].decode("utf-8", "replace")
                    self._owners[name_of] = module.strip(b"[]").decode("utf-8", "replace")
        return self._owners.get(name)

    def arguments(self, name: str) -> Signature | None:
        """The arguments of raw_tp and tp_btf, with a void return in front; None where BTF has none.

        Those of the function __traceiter_<name>, which has names; else of the typedef btf_trace_<name>.
        """
        if self._arguments is None:
            self._arguments = _arguments(self.k)
        return self._arguments.get(name)

    def traits(self, key: Key) -> EventTraits:
        """What rules look at."""
        return function_traits.event_traits(self.k, key[0] or None, key[1])


def _arguments(k: Kernel) -> dict[str, Signature]:
    from ...formats.btf.signature import Signatures

    found: dict[str, Signature] = {}
    typed: dict[str, Signature] = {}
    base = k.btf()
    if base is None:
        return found
    shared = Signatures(base)
    head = _ITERATOR.decode()
    for owner in (None, *k.btf_modules()):
        btf = k.btf(owner)
        if btf is None:
            continue
        made = shared if owner is None else Signatures(btf, shared)
        for title, ids in btf.functions().items():
            if title.startswith(head):
                found.setdefault(title[len(head) :], _raw(made.of_proto(btf.function(ids[0]).proto_id)))
        for title, type_id in btf.typedefs_named("btf_trace_").items():
            holder, at = btf.skip_modifiers(type_id)
            typed.setdefault(title.removeprefix("btf_trace_"), _raw(made.of_proto(holder.words[at + 1])))
    return {**typed, **found}


def _raw(signature: Signature) -> Signature:
    """Without the `void *__data` in front, which programs do not see."""
    return (_VOID, *signature[2:])


def compare(
    a: Kernel, b: Kernel, match: Callable[[str, str], bool] | None, answers: Answers, slices: str = ""
) -> Found:
    """Every event that differs and matches, by category and name. Raises Malformed for a format file that is none.

    `slices`: "a", "b", "ab", "": which kernel's snapshot is one. Bare tracepoints are then not told from others.
    """
    one, two = Side(a), Side(b)
    if slices:
        for of in (one, two):
            of.names = {key: None for key in of.names if key[0]}
    match = match or _any
    for of in (one, two):
        of.k.read_many([f"{events.EVENTS}/{c}/{n}/format" for c, n in of.names if c and match(c, n)])
    if not one.names or not two.names:
        return Found(in_a=_count(one.names, match), in_b=_count(two.names, match))
    moved = _moved(one.names, two.names)
    arrived = set(moved.values())
    changes: list[EventChange] = []
    alone: dict[tuple[str, str], int] = {}
    in_a = in_b = same = untold = left_out = 0
    common: tuple[FieldChange, ...] | None = None
    for key in sorted({*one.names, *two.names}):
        if not match(*key):
            continue
        in_a += key in one.names
        in_b += key in two.names
        if key in arrived and key not in one.names:
            continue
        title = f"{key[0]}:{key[1]}" if key[0] else f"raw_tp:{key[1]}"
        owner = one.owner(key[1]) if key in one.names else two.owner(key[1])
        there = key if key in two.names else moved.get(key)
        if key not in one.names or there is None:
            side, other = ("a", two) if key in one.names else ("b", one)
            if owner is not None and owner not in other.modules:
                alone[side, owner] = alone.get((side, owner), 0) + 1
            elif ("b" if side == "a" else "a") in slices:
                left_out += 1
            else:
                changes.append(EventChange(title, owner, GONE if side == "a" else APPEARED))
            continue
        before, after = one.format_of(key), two.format_of(there)
        fields: tuple[FieldChange, ...] = ()
        if before is not None and after is not None:
            if common is None:
                common = _fields(_common(before), _common(after))
            fields = _fields(_own(before), _own(after))
            if before.is_untold or after.is_untold:  # the file's offsets are not those of the programs' copy
                fields = tuple(change for change in fields if change.what != ("moved",))
                untold += 1
            if key[0] == "syscalls":
                fields = tuple(_judged(change) for change in fields)
        arguments = _differing(one.arguments(key[1]), two.arguments(there[1]))
        verdicts, unknown = answers.compare(one.traits(key), two.traits(there))
        untold += unknown
        if there != key:
            changes.append(EventChange(title, owner, MOVED, (there[0],), fields, arguments, verdicts))
        elif fields or arguments or verdicts:
            changes.append(EventChange(title, owner, CHANGED, (), fields, arguments, verdicts))
        else:
            same += 1
    gaps = tuple(Gap(side, gap) for side, of in (("a", one), ("b", two)) if (gap := of.gap()) is not None)
    return Found(changes, in_a, in_b, same, untold, common or (), alone, gaps, left_out)


def _any(_category: str, _name: str) -> bool:
    return True


def _count(names: Iterable[Key], match: Callable[[str, str], bool]) -> int:
    return sum(1 for key in names if match(*key))


def _moved(one: Mapping[Key, None], two: Mapping[Key, None]) -> dict[Key, Key]:
    """Events whose category alone differs: one event of the name on both sides, and not of the same category.

    A bare tracepoint that got an event, or the other way round, is none of them.
    """
    left: dict[str, list[Key]] = {}
    for key in one.keys() - two.keys():
        left.setdefault(key[1], []).append(key)
    right: dict[str, list[Key]] = {}
    for key in two.keys() - one.keys():
        right.setdefault(key[1], []).append(key)
    return {
        keys[0]: right[name][0]
        for name, keys in left.items()
        if len(keys) == 1 and len(right.get(name, ())) == 1 and keys[0][0] and right[name][0][0]
    }


def _common(fmt: TraceFormat) -> list[TraceField]:
    return [field for field in fmt.fields if field.is_common]


def _own(fmt: TraceFormat) -> list[TraceField]:
    return [field for field in fmt.fields if not field.is_common]


def _fields(before: list[TraceField], after: list[TraceField]) -> tuple[FieldChange, ...]:
    """Fields that differ: those of A in their order, then the new ones."""
    if before == after:
        return ()
    theirs = {field.name: field for field in after}
    found = []
    for field in before:
        other = theirs.pop(field.name, None)
        if other is None:
            found.append(FieldChange(field.name, ("gone",), _place(field), None))
            continue
        what = [
            word
            for word, differs in (
                ("moved", field.offset_bytes != other.offset_bytes),
                ("size", field.size_bytes != other.size_bytes),
                ("type", field.type_text != other.type_text),
                ("sign", field.signed != other.signed and not (_is_text(field) and _is_text(other))),
            )
            if differs
        ]
        if what:
            found.append(FieldChange(field.name, tuple(what), _place(field), _place(other)))
    found += [FieldChange(field.name, ("appeared",), None, _place(field)) for field in theirs.values()]
    return tuple(found)


def _is_text(field: TraceField) -> bool:
    """Chars in a row, whose sign says nothing: all became unsigned in 6.2 (Makefile, -funsigned-char)."""
    from ...formats.text.trace_format import element_type

    is_row = field.kind in (STRING, DATA_LOC, REL_LOC)
    return is_row and element_type(field.type_text).removeprefix("const ") == "char"


def _judged(change: FieldChange) -> FieldChange:
    """A field of a system call's event, whose programs get a copy without the copied user data.

    Mirrors rule tracepoint_access.syscall_copy_has_no_strings.
    """
    places = [place for place in (change.a, change.b) if place is not None]
    return change._replace(absent=all(place.type.startswith(("__data_loc ", "__rel_loc ")) for place in places))


def _place(field: TraceField) -> FieldPlace:
    return FieldPlace(field.type_text, field.offset_bytes, field.size_bytes, field.signed)


def _differing(before: Signature | None, after: Signature | None) -> tuple[ArgumentChange, ...]:
    if before is None or after is None or before == after:
        return ()
    return argument_changes(before, after)
