"""`fleet`: the answers of `scan` for many builds, kept (sources/fleet_store.py), and asked across builds."""

from __future__ import annotations

from ...errors import UsageError
from ...model.attach import DEFAULT
from ...model.fleet import ABSENT, Answer, AskReport, Build, Change, Count, FleetDiff, ListReport
from ...model.target import FUNCTION, GLOB_SIGNS, read
from ...model.verdict import NO, UNKNOWN, YES
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...model.report import KernelInfo, ScanRow
    from ...sources.fleet_store import Row, Store

_REFUSED_SHOWN = 5


class Judged(NamedTuple):
    """A build, ready to be kept: rows are (name, module, the verdict as JSON)."""

    kernel: KernelInfo
    partial: bool
    rows: list[tuple[str, str, str]]


def key(kernel: KernelInfo) -> str:
    """What makes two snapshots the same build. Raises UsageError for a kernel that has no build-id to be known by."""
    if not kernel.build_id:
        raise UsageError(f"{kernel.release or 'this kernel'} has no build-id, so nothing tells it from other builds")
    return f"{kernel.build_id} {kernel.arch}"


def judged(kernel: KernelInfo, partial: bool, rows: Iterable[ScanRow]) -> Judged:
    """Rows of a scan as they are kept. Equal verdicts are made into text once."""
    import json

    texts: dict[tuple[int, int], tuple[str, object]] = {}
    found = []
    for row in rows:
        same = (id(row.answers), id(row.errno))
        known = texts.get(same)
        if known is None:
            text = json.dumps([row.answers, row.errno], separators=(",", ":"), sort_keys=True)
            known = texts[same] = (text, (row.answers, row.errno))  # held, so that the identities stay what they are
        found.append((row.target, row.module or "", known[0]))
    return Judged(kernel, partial, found)


def keep(store: Store, one: Judged, version: str, now: str) -> bool:
    """Put a build into the store; whether it was there before."""
    kernel = one.kernel
    was_there = store.kept(key(kernel)) is not None
    row = (kernel.release, kernel.build_id, kernel.arch, len(one.rows), int(one.partial), version, now)
    store.put(key(kernel), row, one.rows)
    return was_there


def _build(row: Row) -> Build:
    _, release, build_id, arch, functions, partial, judged_by, added = row
    return Build(release, build_id, arch, functions, bool(partial), judged_by, added)


def listed(store: Store) -> ListReport:
    """Every build."""
    return ListReport(store.path, tuple(map(_build, store.builds())), store.names(), len(store.verdicts()))


class _Reader:
    """Cells to answers: each verdict is taken out of its text once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._texts = store.verdicts()
        self._kept: dict[int, tuple[dict[str, str], dict[str, str]]] = {}

    def at(self, row: tuple[str, str, bytes], place: int) -> tuple[dict[str, str], dict[str, str]] | None:
        """Answers and errno of a row on the build of this place; None where it has no such function."""
        cells = row[2]
        number = cells[place] if place < len(cells) else 0
        if number == 255:
            number = self._store.wide(row[0], row[1], place)
        if not number:
            return None
        found = self._kept.get(number)
        if found is None:
            import json

            answers, errno = json.loads(self._texts[number])
            found = self._kept[number] = (answers, errno)
        return found


def ask(store: Store, text: str, types: Sequence[str], answer: str, version: str) -> AskReport:
    """One function on every build, or what a pattern matches with counts. Raises UsageError for what is not kept."""
    found = read(text)
    if found.target.kind != FUNCTION:
        raise UsageError(f"{text[:60]!r}: a fleet keeps functions; ask for other targets with matrix")
    wanted = tuple(types) or ((found.attach,) if found.attach else DEFAULT)
    builds = store.builds()
    old = tuple(row[1] for row in builds if row[6] != version)
    module = found.target.module
    name = found.target.name
    if GLOB_SIGNS.isdisjoint(name):
        asked = None if module is None else "" if module == "vmlinux" else module
        answers = _answers(store, name, asked, wanted, builds)
        kept = tuple(one for one in answers if not answer or answer in one.answers.values())
        return AskReport(store.path, len(builds), kept, (), old)
    if module is not None:
        raise UsageError(f"{text[:60]!r}: a pattern takes no module here")
    return AskReport(store.path, len(builds), (), tuple(_counts(store, name, wanted, answer, builds)), old)


def _answers(
    store: Store, name: str, module: str | None, types: Sequence[str], builds: Sequence[Row]
) -> Iterable[Answer]:
    reader, rows = _Reader(store), store.named(name, module)
    for build in builds:
        place, release, build_id = build[0], build[1], build[2]
        some = [(row, told) for row in rows if (told := reader.at(row, place)) is not None]
        for row, (answers, errno) in some:
            chosen = {one: answers[one] for one in types if one in answers}
            why = {one: errno[one] for one in chosen if one in errno}
            yield Answer(name, row[1] or None, release, build_id, "kept", chosen, why)
        if not some:  # not a no with an errno: which one it is depends on what else the build knows of the name
            state, said = ("not_recorded", UNKNOWN) if build[5] else (ABSENT, NO)
            yield Answer(name, module or None, release, build_id, state, dict.fromkeys(types, said), {})


def _counts(store: Store, glob: str, types: Sequence[str], answer: str, builds: Sequence[Row]) -> Iterable[Count]:
    reader = _Reader(store)
    for row in store.matching(glob):
        told = [(build, reader.at(row, build[0])) for build in builds]
        for attach in types:
            said = [(build[1], _side(found, bool(build[5]), attach)[0]) for build, found in told]
            words = [one for _, one in said]
            if answer and answer not in words:
                continue
            refused = tuple(dict.fromkeys(release for release, one in said if one == NO))
            yes, no, unknown, absent = (words.count(one) for one in (YES, NO, UNKNOWN, ABSENT))
            yield Count(row[0], row[1] or None, attach, yes, no, unknown, absent, refused[:_REFUSED_SHOWN])


def named(store: Store, text: str) -> Row:
    """The build that a release or the beginning of a build-id means. Raises UsageError."""
    builds = store.builds()
    found = [row for row in builds if row[1] == text] or [
        row for row in builds if len(text) >= 4 and row[2].startswith(text.lower())
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"{text[:60]!r}: no such build in {store.path}; probe-scout fleet list has them")
    raise UsageError(
        f"{text[:60]!r}: {len(found)} builds, {' '.join(row[2][:12] for row in found[:5])}: name a build-id"
    )


def diff(store: Store, a: str, b: str, glob: str, types: Sequence[str]) -> FleetDiff:
    """Every function whose answers differ between two builds."""
    row_a, row_b = named(store, a), named(store, b)
    wanted, reader = tuple(types) or DEFAULT, _Reader(store)
    places = row_a[0], row_b[0]
    known: dict[tuple[int, int], list[tuple[str, str, str | None, str, str | None]]] = {}
    changes = []
    for row in store.differing(glob or "*", *places):
        cells = row[2]
        both = tuple(cells[place] if place < len(cells) else 0 for place in places)
        found = known.get((both[0], both[1]))
        if found is None:
            told = [(reader.at(row, build[0]), bool(build[5])) for build in (row_a, row_b)]
            found = list(_changed(told, wanted))
            if 255 not in both:  # a byte that stands for many verdicts
                known[both[0], both[1]] = found
        changes += [Change(row[0], row[1] or None, *one) for one in found]
    return FleetDiff(store.path, _build(row_a), _build(row_b), tuple(changes))


def _changed(
    told: Sequence[tuple[tuple[dict[str, str], dict[str, str]] | None, bool]], wanted: Sequence[str]
) -> Iterator[tuple[str, str, str | None, str, str | None]]:
    for attach in wanted:
        (answer_a, errno_a), (answer_b, errno_b) = (_side(found, partial, attach) for found, partial in told)
        if (answer_a, errno_a) != (answer_b, errno_b):
            yield attach, answer_a, errno_a, answer_b, errno_b


def _side(found: tuple[dict[str, str], dict[str, str]] | None, partial: bool, attach: str) -> tuple[str, str | None]:
    """Answer and errno of one side; what a part of a kernel does not hold is unknown and not absent."""
    if found is None:
        return UNKNOWN if partial else ABSENT, None
    return found[0].get(attach, ABSENT), found[1].get(attach)


def exported(store: Store, types: Sequence[str]) -> Iterator[list[str]]:
    """Every function on every build that has it, sorted by name: name, module, release, build-id, then each answer.

    An answer of no has its errno behind a colon.
    """
    reader, builds = _Reader(store), store.builds()
    for row in store.matching("*"):
        for build in builds:
            found = reader.at(row, build[0])
            if found is not None:
                answers, errno = found
                said = [answers.get(one, "") + (f":{errno[one]}" if one in errno else "") for one in types]
                yield [row[0], row[1], build[1], build[2], *said]


def rules_state(version: str) -> str:
    """What judged: the version, and a checksum of the code that judges, since rules change between versions too."""
    import os
    import zlib

    top = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    total = 0
    for part in ("arch", "kernel", "model", "rules", os.path.join("probes", "attach")):
        folder = os.path.join(top, part)
        try:
            for name in sorted(os.listdir(folder)):
                if name.endswith(".py"):
                    with open(os.path.join(folder, name), "rb") as handle:
                        total = zlib.crc32(handle.read(), total)
        except OSError:  # inside an archive of Python: the version alone
            return version
    return f"{version} {total:08x}"
