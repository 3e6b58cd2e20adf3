"""Functions of two kernels: which are in one alone, under which name or owner the other has them, what differs.

A function is there if kallsyms has a symbol of it. Its identity is its name and its owner (vmlinux or a module), so
functions of modules that only one kernel has loaded are counted and not called gone.
"""

from __future__ import annotations

from ...errors import SourceError
from ...model.diff import APPEARED, CHANGED, GONE, MOVED, RENAMED, ArgumentChange, FunctionChange
from ...named_tuple import NamedTuple
from ...probes.attach import bulk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...formats.btf.signature import Part, Signature
    from ...kernel.kernel import Kernel
    from ...model.traits import Traits
    from .judged import Answers

    Key = tuple[str | None, str]  # owner (None for vmlinux) and name

_COLD = "cold"  # the suffix of a part that the compiler split off, not of a renamed function


class Found(NamedTuple):
    """What `compare` found; `alone` counts functions of modules that one side ("a" or "b") alone has loaded.

    `left_out`: those that a slice, on the other side, may just not hold.
    """

    changes: Sequence[FunctionChange] = ()
    in_a: int = 0
    in_b: int = 0
    same: int = 0
    untold: int = 0
    alone: Mapping[tuple[str, str], int] = {}
    left_out: int = 0


def loaded(k: Kernel) -> frozenset[str]:
    """Names of modules that this kernel has loaded: those of proc/modules and those whose BTF is there."""
    from ...formats.text import modules

    found = set(k.btf_modules())
    try:
        found.update(modules.table(k.read(modules.PATH)))
    except SourceError:
        pass  # the symbols tell most of them
    return frozenset(found)


class Side:
    """One kernel's functions: by owner, name to traits; those with a symbol apart from those only BTF has."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self.there: dict[str | None, dict[str, Traits]] = {}
        self.typed_only: dict[str | None, set[str]] = {}
        for group in bulk.groups(k):
            names = dict(zip(group.names, group.traits, strict=True))
            bare = [name for name, t in names.items() if not (t.modules if group.module else t.vmlinux)]
            for name in bare:
                del names[name]
            self.typed_only.setdefault(group.module, set()).update(bare)
            self.there.setdefault(group.module, {}).update(names)
        self.loaded = loaded(k) | {owner for owner in self.there if owner is not None}
        self._signatures: dict[str | None, dict[str, Signature]] = {}
        self._made: object = None

    def signatures(self, owner: str | None) -> dict[str, Signature]:
        """Prototypes of one owner's functions, by name; empty where there is no BTF."""
        from ...formats.btf import signature as btf_signatures

        if owner not in self._signatures:
            there = owner is None or owner in self.k.btf_modules()
            btf = self.k.btf(owner) if there else None
            base_btf = self.k.btf()
            if btf is None or base_btf is None:
                self._signatures[owner] = {}
            else:
                if self._made is None:
                    self._made = btf_signatures.Signatures(base_btf)
                base = self._made
                assert isinstance(base, btf_signatures.Signatures)
                self._signatures[owner] = btf_signatures.table(btf, None if owner is None else base)
        return self._signatures[owner]

    def copies(self) -> dict[Key, int]:
        """Names that several functions of one owner carry, with their number."""
        view = self.k.full()
        found: dict[Key, int] = {}
        if view is None:
            return found
        symbols = view.symbols
        for raw, rows in symbols.where.items():
            if isinstance(rows, int):
                continue
            for row in rows:
                if bulk.is_function(view, row):
                    owner = symbols.modules[row]
                    key = owner.decode("utf-8", "replace") if owner else None, raw.decode("utf-8", "replace")
                    found[key] = found.get(key, 0) + 1
        return {key: count for key, count in found.items() if count > 1}


def compare(
    a: Kernel, b: Kernel, match: Callable[[str, str], bool] | None, answers: Answers, slices: str = ""
) -> Found:
    """Every function that differs and matches (all if None): vmlinux's first, by name.

    Nothing where kallsyms of one of them cannot be read. `slices`: "a", "b", "ab", "": which kernel's snapshot is one.
    """
    if a.full() is None or b.full() is None:
        return Found()
    a.blacklist()
    b.blacklist()
    one, two = Side(a), Side(b)
    copies_a, copies_b = one.copies(), two.copies()
    renamed, moved = _pairs(one, two)
    arrived = {(owner, name) for owners in moved.values() for owner, name in owners}
    arrived.update((owner, name) for (owner, _), names in renamed.items() for name in names)
    changes: list[FunctionChange] = []
    alone: dict[tuple[str, str], int] = {}
    in_a = in_b = same = untold = left_out = 0

    def copies(key_a: Key | None, key_b: Key | None) -> tuple[int, int]:
        return copies_a.get(key_a, 1) if key_a else 0, copies_b.get(key_b, 1) if key_b else 0

    known = answers.known
    for owner in _ordered(one.there, two.there):
        mine, theirs = one.there.get(owner, {}), two.there.get(owner, {})
        if match is not None:
            title = owner or "vmlinux"
            mine = {name: traits for name, traits in mine.items() if match(title, name)}
            theirs = {name: traits for name, traits in theirs.items() if match(title, name)}
        in_a += len(mine)
        in_b += len(theirs)
        types_a, types_b = one.signatures(owner), two.signatures(owner)
        several = {name for holder, name in (*copies_a, *copies_b) if holder == owner}
        rows: list[FunctionChange] = []
        for name, traits in mine.items():
            other = theirs.get(name)
            if other is None:
                key = owner, name
                if key in renamed:
                    rows.append(
                        FunctionChange(name, owner, RENAMED, renamed[key], *copies(key, (owner, renamed[key][0])))
                    )
                elif key in moved:
                    rows.append(_moved(one, two, key, moved[key], copies(key, moved[key][0]), answers))
                elif owner is not None and owner not in two.loaded:
                    alone["a", owner] = alone.get(("a", owner), 0) + 1
                elif "b" in slices:
                    left_out += 1
                else:
                    still = _is_typed(two, types_b, owner, name) and name in types_a
                    rows.append(FunctionChange(name, owner, GONE, (), *copies(key, None), still_typed=still))
                continue
            verdicts, unknown = known.get((id(traits), id(other))) or answers.compare(traits, other)
            untold += unknown
            before, after = types_a.get(name), types_b.get(name)
            if before == after and not verdicts and name not in several:
                same += 1
                continue
            number = copies((owner, name), (owner, name))
            kept = answers.worth_telling(name, verdicts)
            differ = before is not None and after is not None and before != after
            if kept or differ or number[0] != number[1]:
                row = FunctionChange(name, owner, CHANGED, (), *number, verdicts=kept)
                rows.append(_typed(row, name, before, after) if differ else row)
            else:
                same += 1
        for name in theirs:
            if name in mine or (owner, name) in arrived:
                continue
            if owner is not None and owner not in one.loaded:
                alone["b", owner] = alone.get(("b", owner), 0) + 1
                continue
            if "a" in slices:
                left_out += 1
                continue
            still = _is_typed(one, types_a, owner, name) and name in types_b
            rows.append(FunctionChange(name, owner, APPEARED, (), *copies(None, (owner, name)), still_typed=still))
        rows.sort(key=_name)
        changes += rows
    return Found(changes, in_a, in_b, same, untold, alone, left_out)


def _is_typed(side: Side, types: Mapping[str, Signature], owner: str | None, name: str) -> bool:
    """BTF of this owner describes a function of this name, symbol or not."""
    return name in types or name in side.typed_only.get(owner, ())


def _name(row: FunctionChange) -> str:
    return row.target


def _ordered(one: Iterable[str | None], two: Iterable[str | None]) -> list[str | None]:
    """vmlinux, then the modules by name."""
    names = {owner for owner in (*one, *two) if owner is not None}
    return [None, *sorted(names)]


def base_of(name: str) -> tuple[str, bool]:
    """The name as the source has it, and whether this is a part split off (`.cold`).

    foo.isra.0, foo.constprop.0.isra.0, foo.part.0 and foo.llvm.123 are foo; foo.isra.0.cold is the cold part of foo.
    """
    base, dot, rest = name.partition(".")
    return base, bool(dot) and _COLD in rest.split(".")


def _pairs(one: Side, two: Side) -> tuple[dict[Key, tuple[str, ...]], dict[Key, tuple[Key, ...]]]:
    """Functions of A that B has under another suffix of the same owner, and those that another owner has.

    A name that a module only one side has loaded carries is no move unless vmlinux is on the other end.
    """
    renamed: dict[Key, tuple[str, ...]] = {}
    moved: dict[Key, tuple[Key, ...]] = {}
    gone_names: dict[str, list[str | None]] = {}
    for owner, mine in one.there.items():
        theirs = two.there.get(owner, {})
        gone = mine.keys() - theirs.keys()
        new: dict[tuple[str, bool], list[str]] = {}
        for name in theirs.keys() - mine.keys():
            new.setdefault(base_of(name), []).append(name)
        for name in gone:
            others = new.get(base_of(name)) if theirs else None
            if others and ("." in name or any("." in other for other in others)):
                renamed[owner, name] = tuple(sorted(others))
            else:
                gone_names.setdefault(name, []).append(owner)
    arrived: dict[str, list[str | None]] = {}
    for owner, theirs in two.there.items():
        mine = one.there.get(owner, {})
        for name in theirs.keys() - mine.keys():
            if name in gone_names:
                arrived.setdefault(name, []).append(owner)
    for name, targets in arrived.items():
        sources = gone_names[name]
        # Static functions of one name are many: only a single one on both ends is surely the same.
        if len(sources) == 1 and len(targets) == 1 and _may_move(one, two, sources[0], targets[0]):
            moved[sources[0], name] = ((targets[0], name),)
    return renamed, moved


def _may_move(one: Side, two: Side, source: str | None, target: str | None) -> bool:
    """Between vmlinux and a module, or two modules that both kernels have loaded."""
    if source is None or target is None:
        return True
    return source in two.loaded and target in one.loaded


def _moved(
    one: Side, two: Side, key: Key, targets: tuple[Key, ...], copies: tuple[int, int], answers: Answers
) -> FunctionChange:
    owner, name = key
    there, _ = targets[0]
    verdicts, _ = answers.compare(one.there[owner][name], two.there[there][name])
    row = FunctionChange(name, owner, MOVED, tuple(o or "vmlinux" for o, _ in targets), *copies, verdicts=verdicts)
    before, after = one.signatures(owner).get(name), two.signatures(there).get(name)
    return _typed(row, name, before, after) if before is not None and after is not None and before != after else row


def _typed(row: FunctionChange, name: str, before: Signature | None, after: Signature | None) -> FunctionChange:
    """The row with what differs between two prototypes."""
    from ...formats.btf.signature import prototype_line

    assert before is not None
    assert after is not None
    return row._replace(
        prototype_a=prototype_line(name, before),
        prototype_b=prototype_line(name, after),
        arguments=argument_changes(before, after),
    )


def argument_changes(before: Signature, after: Signature) -> tuple[ArgumentChange, ...]:
    """The return value and each place whose parameter differs."""
    found = []
    if before[0] != after[0]:
        found.append(ArgumentChange(None, "type", _told(before[0], after[0]), _told(after[0], before[0])))
    for place in range(max(len(before), len(after)) - 1):
        one, two = _at(before, place), _at(after, place)
        if one == two:
            continue
        what = "appeared" if one is None else "gone" if two is None else "name" if one[1:] == two[1:] else "type"
        found.append(ArgumentChange(place, what, _told(one, two), _told(two, one)))
    return tuple(found)


def _told(part: Part | None, other: Part | None) -> str | None:
    """A parameter for people, with its size where only the size differs."""
    from ...formats.btf.signature import argument

    if part is None:
        return None
    same = other is not None and part[:2] == other[:2]
    return f"{argument(part)} of {part[2]} bytes" if same else argument(part)


def _at(signature: Signature, place: int) -> Part | None:
    return signature[place + 1] if place + 1 < len(signature) else None
