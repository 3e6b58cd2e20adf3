"""What the checks of a kernel image said, kept between runs: helpers, kfuncs, contexts, struct_ops by their programs.

Opening an image and running its functions costs a second of CPU; what comes out hangs on its bytes alone. It is kept as
other answers are (sources/cache.py: private, with a checksum, tied to every file of this program) under the sha256 of
the image. The image is opened for the first question that was not asked before. PROBE_SCOUT_CACHE=off keeps nothing.

Where a check says something of a program without a place, it did not look at the place: that answer is used for all.
"""

from __future__ import annotations

from ..formats.image.program import ELSEWHERE, Program
from ..sources import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..formats.btf.records import Records
    from ..formats.image.access import Accesses, Value
    from ..formats.image.facts import Facts
    from ..formats.image.helpers import Helpers, Proto
    from ..formats.image.iterators import Argument
    from ..formats.image.kfuncs import Kfuncs, Permissions
    from ..formats.image.program import Asked
    from ..formats.image.struct_ops import StructOps

_FORMAT = "calls of an image 1"
_NOT_ASKED = "."
_LETTERS = {True: "y", False: "n", None: "?"}
_ANSWERS = {letter: answer for answer, letter in _LETTERS.items()}
_COLUMNS_MAX = 4  # of helpers that one run works out in advance, 35 ms each
_PLACES_MAX, _LOADS_MAX = 8192, 65536  # kept answers of places and of loads, after which these begin anew


class KeptImage:
    """One image. `open_facts` gives its facts, and raises what makes it no image that can be read."""

    def __init__(
        self,
        sha256: str,
        open_facts: Callable[[], Facts],
        in_advance: bool = True,
        read_kfuncs: Callable[[Facts], Permissions] | None = None,
    ) -> None:
        """Opens the image unless answers of it are kept. Raises what `open_facts` and the readers raise.

        `in_advance`: work out what the next questions are likely to ask. `read_kfuncs` takes the place of Permissions.
        """
        self._question = f"{_FORMAT}\0{cache.program()}\0{sha256}"
        self._open_facts, self.in_advance = open_facts, in_advance
        self._facts: Facts | None = None
        self._read_kfuncs = read_kfuncs
        self._helpers: Helpers | None = None
        self._is_new = False
        self._worked_out = 0
        kept = cache.kept(self._question, large=True)
        self.data: dict[str, Any] = kept if isinstance(kept, dict) else self._begin()
        self.types: dict[str, int] = self.data["types"]
        self.attach_types: dict[str, int] = self.data["attach_types"]
        self.build_id: str = self.data["build_id"]
        self._built = frozenset(self.data["built"])
        self._place_of = {number: place for place, number in enumerate(self.data["numbers"])}
        self._proto_places = {address: place for place, (address, *_) in enumerate(self.data["protos"], 1)}
        self._kfuncs: KeptKfuncs | None = None

    def _begin(self) -> dict[str, Any]:
        helpers = self.helpers()
        self._is_new = True
        return {
            "build_id": getattr(self.facts().image, "build_id", ""),
            "types": helpers.types,
            "attach_types": helpers.attach_types,
            "numbers": sorted(helpers.numbers.values()),
            "built": [number for number in helpers.types.values() if helpers.function(number)],
            "protos": [],
            "columns": {},
            "places": {},
            "elsewhere": {},
            "loads": {},
            "members": {},
        }

    def keep(self) -> None:
        """Keep what was worked out since."""
        if self._is_new:
            self._is_new = False
            cache.keep(self._question, self.data, large=True)

    # The image itself.

    def facts(self) -> Facts:
        """The image, opened."""
        if self._facts is None:
            self._facts = self._open_facts()
        return self._facts

    def helpers(self) -> Helpers:
        """Its helpers, by running it."""
        if self._helpers is None:
            from ..formats.image.helpers import Helpers

            self._helpers = Helpers(self.facts())
        return self._helpers

    def permissions(self) -> Permissions:
        """Its kfuncs, by running it."""
        from ..formats.image.kfuncs import Permissions

        return (self._read_kfuncs or Permissions)(self.facts())

    def note(self, table: str, key: str, value: Any, most: int) -> None:
        """Remember an answer; a table that is full begins anew."""
        held = self.data[table]
        if len(held) >= most:
            held.clear()
        held[key] = value
        self._is_new = True

    def put(self, name: str, value: Any) -> None:
        """Remember a whole table."""
        self.data[name] = value
        self._is_new = True

    # Helpers, as formats/image/helpers.py has them. A prototype is a number that only `read` knows.

    def function(self, program_type: int) -> bool:
        """Whether the type has rules of its own: it is built in, and takes them from no other program."""
        return program_type in self._built

    def proto(self, program: Program, helper: int) -> int | None:
        """A number for the helper's prototype, 0 where the program may not call it, None where that is not known."""
        anywhere = program._replace(btf_id=None, function="")
        known = self._cell(anywhere, helper)
        if known is not None or program == anywhere:
            return known
        number = self._placed(
            str(helper),
            program,
            lambda: self._number(self.helpers().proto(program, helper)),
            lambda: self.helpers().proto_elsewhere(anywhere, helper),
            self._number,
        )
        return self._told(number)

    def _placed(
        self,
        what: str,
        program: Program,
        run: Callable[[], Any],
        run_elsewhere: Callable[[], tuple[int, Asked] | None],
        value: Callable[[int], Any],
    ) -> Any:
        """The answer of a check that looks at the place: what it says of most places, else of this one."""
        anywhere = f"{what}@{_key(program._replace(btf_id=None, function=''))}"
        if anywhere not in self.data["elsewhere"]:
            found = run_elsewhere()
            row = None if found is None else [value(found[0]), sorted(found[1].ids), found[1].beginnings]
            self.note("elsewhere", anywhere, row, _PLACES_MAX)
        row = self.data["elsewhere"][anywhere]
        if row is not None and program.btf_id is not None and program.function:
            answer, ids, beginnings = row
            if program.btf_id not in ids and not any(_begins(program.function, *one) for one in beginnings):
                return answer
        key = f"{what}@{_key(program)}"
        if key not in self.data["places"]:
            self.note("places", key, run(), _PLACES_MAX)
        return self.data["places"][key]

    def _cell(self, program: Program, helper: int) -> int | None:
        place = self._place_of.get(helper)
        if place is None:
            return None
        key = _key(program)
        column: list[int | None] | None = self.data["columns"].get(key)
        if column is None:
            column = [None] * len(self._place_of)
            self.data["columns"][key] = column
            if self.in_advance and self._worked_out < _COLUMNS_MAX:
                self._worked_out += 1
                column[:] = [self._number(self.helpers().proto(program, one)) for one in self.data["numbers"]]
                self._is_new = True
                self._ahead(program)
        number = column[place]
        if number is None:
            number = column[place] = self._number(self.helpers().proto(program, helper))
            self._is_new = True
        return self._told(number)

    def _number(self, proto: int | None) -> int:
        """-1 for what is not known, 0 for a refusal, else the place of the prototype, from 1 on."""
        if not proto:
            return -1 if proto is None else 0
        if proto not in self._proto_places:
            says = self.helpers().read(proto)
            self.data["protos"].append([proto, says.gpl_only, says.might_sleep, says.allowed])
            self._proto_places[proto] = len(self.data["protos"])
        return self._proto_places[proto]

    @staticmethod
    def _told(number: int) -> int | None:
        return None if number < 0 else number

    def read(self, proto: int) -> Proto:
        """What a prototype says."""
        from ..formats.image.helpers import Proto

        _, gpl_only, might_sleep, allowed = self.data["protos"][proto - 1]
        return Proto(gpl_only, might_sleep, allowed)

    def permits(self, program: Program, check: int) -> bool | None:
        """What the `allowed` function of a prototype says of a program."""
        anywhere = program._replace(btf_id=None, function="")
        what = f"{check:x}?"
        key = what + _key(anywhere)
        if key not in self.data["places"]:
            self.note("places", key, _LETTERS[self.helpers().permits(anywhere, check)], _PLACES_MAX)
        known = _ANSWERS[self.data["places"][key]]
        if known is not None or program == anywhere:
            return known
        letter = self._placed(
            what,
            program,
            lambda: _LETTERS[self.helpers().permits(program, check)],
            lambda: self.helpers().permits_elsewhere(anywhere, check),
            lambda told: _LETTERS[bool(told)],
        )
        return _ANSWERS[letter]

    def _ahead(self, program: Program) -> None:
        """What a program at a place will be asked."""
        for place, number in enumerate(self.data["columns"][_key(program)]):
            helper = self.data["numbers"][place]
            somewhere = program._replace(btf_id=ELSEWHERE, function="\x01")
            if number < 0:
                self.proto(somewhere, helper)
            elif number and self.read(number).allowed:
                self.permits(somewhere, self.read(number).allowed)

    # Kfuncs, contexts, struct_ops.

    def kfuncs(self) -> KeptKfuncs:
        """Its kfuncs."""
        if self._kfuncs is None:
            self._kfuncs = KeptKfuncs(self)
        return self._kfuncs

    def accesses(self) -> KeptAccesses:
        """Its contexts."""
        return KeptAccesses(self)

    def iterator(self, target: str) -> tuple[Argument, ...] | None:
        """Arguments that an iterator registers (formats/image/iterators.py)."""
        key = f"iter/{target}"
        if key not in self.data["members"]:
            from ..formats.image import iterators

            found = iterators.arguments(self.facts(), target)
            self.note("members", key, None if found is None else [list(one) for one in found], _PLACES_MAX)
        rows = self.data["members"][key]
        return None if rows is None else tuple(map(_argument, rows))

    def struct_ops(self) -> KeptStructOps:
        """Its struct_ops."""
        return KeptStructOps(self)


def _argument(row: list[Any]) -> Argument:
    from ..formats.image.iterators import Argument

    return Argument(*row)


class KeptKfuncs:
    """As formats/image/kfuncs.py's Permissions."""

    def __init__(self, image: KeptImage) -> None:
        self._image, self._own = image, None if "kfuncs" in image.data else self._read(image)
        held = image.data["kfuncs"]
        from ..formats.image.kfuncs import Kfuncs

        hooks = {int(number): hook for number, hook in held["hooks"].items()}
        self.kfuncs: Kfuncs = Kfuncs((), hooks, tuple(held["gave_up"]))
        self.flags: dict[str, int] = held["flags"]
        self.ids: dict[str, int] = {name: place for place, name in enumerate(self.flags)}

    @staticmethod
    def _read(image: KeptImage) -> Permissions:
        own = image.permissions()
        held = {"hooks": own.kfuncs.hooks, "gave_up": own.kfuncs.gave_up, "flags": own.flags, "columns": {}}
        image.put("kfuncs", held)
        return own

    def allowed(self, name: str, program_type: int, attach_type: int | None = None) -> bool | None:
        """For a program of this type and attach type, by the kernel's numbers."""
        return self.permits(Program(program_type, attach_type), name)

    def permits(self, program: Program, name: str) -> bool | None:
        """Whether a program may call a kfunc; None where that is not known."""
        if name not in self.ids:
            return None if self.kfuncs.gave_up or program.type not in self.kfuncs.hooks else False
        anywhere = program._replace(btf_id=None, function="")
        known = self._cell(anywhere, name)
        if known is not None or program == anywhere:
            return known
        key = f"{name}@{_key(program)}"
        places = self._image.data["places"]
        if key not in places:
            self._image.note("places", key, _LETTERS[self._permissions().permits(program, name)], _PLACES_MAX)
        return _ANSWERS[places[key]]

    def _cell(self, program: Program, name: str) -> bool | None:
        columns, key, place = self._image.data["kfuncs"]["columns"], _key(program), self.ids[name]
        column = columns.get(key, "")
        if not column or column[place] == _NOT_ASKED:
            names: Iterable[str] = self.ids if self._image.in_advance else (name,)
            run = {one: _LETTERS[self._permissions().permits(program, one)] for one in names}
            held = column or _NOT_ASKED * len(self.ids)
            column = columns[key] = "".join(run.get(one, letter) for one, letter in zip(self.ids, held, strict=True))
            self._image.put("kfuncs", self._image.data["kfuncs"])
        return _ANSWERS[column[place]]

    def _permissions(self) -> Permissions:
        if self._own is None:
            self._own = self._image.permissions()
        return self._own


class KeptAccesses:
    """As formats/image/access.py's Accesses."""

    def __init__(self, image: KeptImage) -> None:
        self._image = image
        self._own: Accesses | None = None
        self._last: list[Any] = [None]

    def allowed(self, program: Program, offset: int, size: int, access: int = 1) -> bool | None:
        """Whether the kernel takes a load or store; None where that is not known."""
        key = f"{offset}:{size}:{access}@{_key(program)}"
        loads = self._image.data["loads"]
        if key not in loads:
            self._image.note("loads", key, self._run(program, offset, size, access), _LOADS_MAX)
        self._last = loads[key]
        told: bool | None = self._last[0]
        return told

    def _run(self, program: Program, offset: int, size: int, access: int) -> list[Any]:
        if self._own is None:
            from ..formats.image.access import Accesses

            self._own = Accesses(self._image.facts())
        told = self._own.allowed(program, offset, size, access)
        return [told, *self._own.value()] if told else [told]

    def value(self) -> Value:
        """What the load that was allowed last gives."""
        from ..formats.image.access import Value

        return Value(*self._last[1:])


class KeptStructOps:
    """As formats/image/struct_ops.py's StructOps."""

    def __init__(self, image: KeptImage) -> None:
        self._image = image
        self._own: StructOps | None = None

    def takes(self, records: Records, name: str, type_id: int, place: int, sleeps: bool) -> bool | None:
        """Whether a program may be the member at this place of struct `name`; None where that is not known."""
        key = f"{name}.{place}.{int(sleeps)}"
        members = self._image.data["members"]
        if key not in members:
            if self._own is None:
                from ..formats.image.struct_ops import StructOps

                self._own = StructOps(self._image.facts())
            answer = self._own.takes(records, name, type_id, place, sleeps)
            self._image.note("members", key, _LETTERS[answer], _PLACES_MAX)
        return _ANSWERS[members[key]]


def _begins(name: str, text: str, count: int) -> bool:
    """strncmp of so many bytes says that they are equal."""
    return f"{name}\0"[:count] == f"{text}\0"[:count]


def _key(program: Program) -> str:
    rights = "all" if program.rights is None else ",".join(map(str, sorted(program.rights)))
    place = "" if program.btf_id is None and not program.function else f"/{program.btf_id}/{program.function}"
    return f"{program.type}/{program.attach_type}/{int(program.sleeps)}/{rights}/{program.lockdown}{place}"
