"""What inlining did to functions in kernels whose debug information was read before: names, and one class for each.

`lookup` gives a fact for a build that was surveyed, a prediction for any other, or nothing. The survey that comes with
the package lies in shipped/; a user's own lie in the cache folder, one file a kernel.
"""

from __future__ import annotations

import os

from ....arch import ARCHITECTURES
from ....errors import Malformed
from ....named_tuple import NamedTuple
from .cell import Cell, effect
from .format import VMLINUX, Share, Table
from .predict import is_near, predict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


SUFFIX = ".survey"
SHIPPED = os.path.join(os.path.dirname(__file__), "shipped")
SURVEY, OTHER, ACROSS = "survey", "survey-other", "survey-across"
ASKED_MIN = 20  # predictions below which a share says nothing
_BYTES_MAX = 64 << 20


class Votes(NamedTuple):
    """How many surveyed builds say that a probe on the name sees some of the calls, all of them, or something else."""

    partial: int = 0
    complete: int = 0
    other: int = 0


class Entry(NamedTuple):
    """What became of a function. `kind`: a class of dwarf/classes.py: no, partial, full and so on.

    `basis`: "survey" if this very build was surveyed: a fact. "survey-other" if only other builds were: a prediction;
    "survey-across" if only builds of another architecture were, and how often such come true was measured (across.py);
    then `confidence` is the share of such predictions that came true, from 0 to 1, when each surveyed kernel was
    predicted from the others: of `asked` names, `right` had what a probe sees of the calls as predicted, and `exact`
    the very class; None where too few were asked to tell. `kernels`: releases that
    say so; `known`: how many surveyed kernels know the name, `surveyed`: how many could. `missed`: copies inlined
    elsewhere, for "partial" ("survey": exactly, 255 means that many or more; "survey-other": the most in any).
    `suffixes`: kinds of further symbols (isra, part) that a probe on the name does not see, or the only ones of a
    "transformed" function. `others`: classes of other functions of that name in other files. `places`: symbol and
    offset of each copy that a probe on the name does not see, if the survey keeps them: where only other builds were
    surveyed those of the last of `kernels`, whose offsets are of that build. `votes` and `holders` are of every
    surveyed build, the near ones and the others: what each says, and who held a copy in how many.
    """

    kind: str
    basis: str
    confidence: float | None
    kernels: tuple[str, ...]
    missed: int = 0
    suffixes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    asked: int = 0
    right: int = 0
    exact: int = 0
    known: int = 0
    surveyed: int = 0
    places: tuple[tuple[str, int], ...] = ()
    votes: Votes = Votes()
    holders: tuple[tuple[str, int], ...] = ()

    @property
    def sees(self) -> str:
        """What a probe on the name sees of the calls: complete, partial, none; unknown where it has another symbol.

        Functions of the same name in other files do not count: the symbol is not theirs.
        """
        return effect(Cell(self.kind, self.missed, self.suffixes, self.others).label)


class Surveyed(NamedTuple):
    """One kernel of a survey. `files`: module, or "vmlinux", to build-id. `path`: the survey's file."""

    release: str
    path: str
    files: dict[str, str]


_open: dict[str, tuple[str, Table]] = {}


def lookup(
    build_id: str,
    name: str,
    module: str | None = None,
    has_symbol: bool | None = None,
    release: str = "",
    machine: str = "",
) -> Entry | None:
    """What surveys say of a function; None if no survey has the name, or what they say cannot be of this kernel.

    `build_id`: of the module's file for a function of a module, or of its kernel where that is not known; "" if
    neither is. `has_symbol`: kallsyms has exactly this name. `release`: of the kernel; if a surveyed one is near
    (predict.is_near), only such are asked. Predictions are better with both. `machine`: the kernel's machine word;
    builds of another are asked only where there is none of its own. Raises Malformed.
    """
    scope = (module or VMLINUX).replace("-", "_")
    by_machine: dict[str, dict[tuple[str, str], Cell | None]] = {}
    shares: dict[str, dict[tuple[str, str, str], Share]] = {}
    for table in tables():
        if table.shares:
            shares.setdefault(table.machines[0], table.shares)
        exact = _column(table, build_id, scope) if build_id else None
        mine = next((found for found in table.find(name) if found.scope == scope), None)
        if exact is not None:
            cell = mine.cells[exact] if mine is not None else None
            return None if cell is None else _fact(cell, table.kernels[exact])
        for one in table.files:
            if table.scopes[one.scope] == scope:
                key = (table.kernels[one.kernel], one.build_id)
                votes = by_machine.setdefault(table.machines[one.kernel], {})
                votes[key] = mine.cells[one.kernel] if mine is not None else None
    own = ("", machine) if machine else tuple(by_machine)  # "": a survey of before machines were noted
    votes = {key: cell for word in own for key, cell in by_machine.get(word, {}).items()}
    if not votes:
        return _across(by_machine, machine, has_symbol) if machine in ARCHITECTURES else None
    return _other(votes, has_symbol, release, next((shares[word] for word in shares if word in own), {}))


def _across(
    by_machine: dict[str, dict[tuple[str, str], Cell | None]], machine: str, has_symbol: bool | None
) -> Entry | None:
    """A prediction from builds of another architecture, of the sorts that mostly came true where that was measured."""
    from . import across

    for other, votes in by_machine.items():
        shares = across.SHARES.get((other, machine))
        if shares is None:
            continue
        entry = _other(votes, has_symbol, "", {key: Share(*one) for key, one in shares.items()})
        if entry is not None and entry.confidence is not None and entry.confidence >= across.CONFIDENCE_MIN:
            places = tuple((name, at) for one, at in entry.places if (name := across.name_there(one, other, machine)))
            return entry._replace(basis=ACROSS, places=places, holders=())
    return None


def _other(
    votes: dict[tuple[str, str], Cell | None],
    has_symbol: bool | None,
    release: str,
    shares: dict[tuple[str, str, str], Share],
) -> Entry | None:
    every = list(votes.values())
    near = {key: cell for key, cell in votes.items() if is_near(key[0], release)}
    votes = near or votes
    guess = predict(list(votes.values()), has_symbol, bool(near))
    if guess is None:
        return None
    share = shares.get(guess)
    agreeing = [(key[0], cell) for key, cell in votes.items() if cell is not None and cell.label == guess.label]
    last = agreeing[-1][1]
    return Entry(
        last.kind,
        OTHER,
        share.right / share.asked if share and share.asked >= ASKED_MIN else None,
        tuple(dict.fromkeys(release for release, _ in agreeing)),
        missed=max(cell.missed for _, cell in agreeing),
        suffixes=last.suffixes,
        others=last.others,
        asked=share.asked if share else 0,
        right=share.right if share else 0,
        exact=share.exact if share else 0,
        known=sum(cell is not None for cell in votes.values()),
        surveyed=len(votes),
        places=last.places,
        votes=counted(every),
        holders=holders(every),
    )


def opinions(name: str, machine: str, module: str | None = None) -> tuple[Votes, tuple[tuple[str, int], ...]]:
    """Votes and holders of every surveyed build of a machine, as `Entry` has them, for any name. Raises Malformed."""
    scope = (module or VMLINUX).replace("-", "_")
    cells = [
        cell
        for table in tables()
        for found in table.find(name)
        if found.scope == scope
        for cell, of in zip(found.cells, table.machines, strict=True)
        if of == machine
    ]
    return counted(cells), holders(cells)


def counted(cells: Sequence[Cell | None]) -> Votes:
    """What builds say of a function, None where one does not know it."""
    said = [effect(cell.label) for cell in cells if cell is not None]
    partial, complete = said.count("partial"), said.count("complete")
    return Votes(partial, complete, len(said) - partial - complete)


def holders(cells: Sequence[Cell | None]) -> tuple[tuple[str, int], ...]:
    """Functions that hold a copy, without the compiler's suffixes, and in how many builds."""
    found: dict[str, int] = {}
    for cell in cells:
        for name in dict.fromkeys(place.partition(".")[0] for place, _ in cell.places) if cell is not None else ():
            found[name] = found.get(name, 0) + 1
    return tuple(found.items())


def scopes(name: str) -> set[str]:
    """Where surveyed builds have a function of this name: "vmlinux" or modules, as the survey spells them."""
    return {found.scope for table in tables() for found in table.find(name)}


def functions(build_id: str, module: str | None = None) -> Iterator[tuple[str, Cell]] | None:
    """Every function of a surveyed build, or of a module of it, with its class, by name; None for any other build.

    `build_id` as for `lookup`. Raises Malformed.
    """
    scope = (module or VMLINUX).replace("-", "_")
    for table in tables():
        number = _column(table, build_id, scope) if build_id else None
        if number is not None:
            return _of_column(table, number, scope)
    return None


def _of_column(table: Table, number: int, scope: str) -> Iterator[tuple[str, Cell]]:
    for name, found in table.all_names():
        for one in found:
            cell = one.cells[number]
            if one.scope == scope and cell is not None:
                yield name, cell


def _fact(cell: Cell, release: str) -> Entry:
    told = (cell.missed, cell.suffixes, cell.others)
    return Entry(cell.kind, SURVEY, None, (release,), *told, known=1, surveyed=1, places=cell.places)


def _column(table: Table, build_id: str, scope: str) -> int | None:
    """The kernel of a survey whose file of this scope has the build-id, or whose vmlinux has; None if none has.

    A kernel's own build-id vouches for its modules: they are made together.
    """
    kernels = {one.kernel for one in table.files if one.build_id == build_id and table.scopes[one.scope] == scope}
    if not kernels:
        of_kernel = {
            one.kernel for one in table.files if one.build_id == build_id and table.scopes[one.scope] == VMLINUX
        }
        kernels = {one.kernel for one in table.files if one.kernel in of_kernel and table.scopes[one.scope] == scope}
    return min(kernels, default=None)


def tables() -> Iterator[Table]:
    """Every survey, the shipped one first. Only heads are read. Raises Malformed."""
    for path in paths():
        stamp = _stamp(path)
        if path not in _open or _open[path][0] != stamp:
            _open[path] = (stamp, Table(reader(path), path))
        yield _open[path][1]


def paths() -> tuple[str, ...]:
    """Paths of the surveys, the shipped ones first."""
    return tuple(os.path.join(where, name) for where in (SHIPPED, own_folder()) for name in _listed(where))


def state() -> str:
    """What changes when a survey is added, renewed or removed: for keys of kept answers."""
    return "\0".join(f"{path}:{_stamp(path)}" for path in paths())


def surveyed() -> tuple[Surveyed, ...]:
    """Every surveyed kernel. Raises Malformed."""
    return tuple(
        Surveyed(
            release,
            table.path,
            {table.scopes[one.scope]: one.build_id for one in table.files if one.kernel == number},
        )
        for table in tables()
        for number, release in enumerate(table.kernels)
    )


def own_folder() -> str:
    """Where the user's own surveys are; "" where nothing is kept."""
    from ....sources import cache

    where = "" if os.environ.get("PROBE_SCOUT_CACHE") == "off" else cache.folder()
    return os.path.join(where, "surveys") if where else ""


def _listed(where: str) -> list[str]:
    """Survey files of a folder; none if it is missing or others may write to it."""
    if not where:
        return []
    try:
        if where != SHIPPED:
            one = os.lstat(where)
            if one.st_uid != os.geteuid() or one.st_mode & 0o022:
                return []
        return sorted(name for name in os.listdir(where) if name.endswith(SUFFIX))
    except OSError:
        return []


def _stamp(path: str) -> str:
    try:
        one = os.stat(path)
    except OSError as error:
        return type(error).__name__
    return f"{one.st_ino}:{one.st_size}:{one.st_mtime_ns}"


def reader(path: str) -> Callable[[int, int], bytes]:
    """Reads parts of a file. A file that cannot be read, or is too large, reads as Malformed."""

    def read(offset: int, size: int) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise Malformed(path, 0, "a survey that can be read", error.strerror or str(error)) from None
        try:
            return os.pread(descriptor, min(size, _BYTES_MAX), offset)
        except OSError as error:
            raise Malformed(path, offset, "a survey that can be read", error.strerror or str(error)) from None
        finally:
            os.close(descriptor)

    return read
