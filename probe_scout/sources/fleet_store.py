"""The file of a fleet: SQLite, a row for each name, in it a byte for each build.

    verdict  number -> the answers and errno for every attach type, as JSON; some hundred in a whole fleet
    build    place -> who it is and who judged it; `place` is the byte of a name's row that belongs to it
    function name, module -> cells: byte N is the verdict on the build of place N, 0 where it has no such function
    host     name -> its build-id, and when it sent
    attachment  number -> attach type, target and owner; attached: which host has which, how often
    wide     what has no room in a byte: verdicts from 255 on; the byte is then 255

A build comes in one transaction, so that a killed writer leaves nothing half. Judging happens before: writers wait for
each other only while they write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..errors import Broken, NotThere, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

APPLICATION = 0x70736331  # "psc1"
SCHEMA = 2  # 1: without hosts; read as it is, and made 2 by the next writer
WIDE = 255
_WAIT_SECONDS = 120
_TABLES = """
CREATE TABLE verdict (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE build (place INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, release TEXT NOT NULL, build_id TEXT NOT NULL,
  arch TEXT NOT NULL, functions INTEGER NOT NULL, partial INTEGER NOT NULL, judged_by TEXT NOT NULL,
  added TEXT NOT NULL);
CREATE TABLE function (name TEXT NOT NULL, module TEXT NOT NULL, cells BLOB NOT NULL, PRIMARY KEY (name, module))
  WITHOUT ROWID;
CREATE TABLE wide (name TEXT NOT NULL, module TEXT NOT NULL, place INTEGER NOT NULL, verdict INTEGER NOT NULL,
  PRIMARY KEY (name, module, place)) WITHOUT ROWID;
"""
_HOST_TABLES = """
CREATE TABLE host (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, build TEXT NOT NULL, release TEXT NOT NULL,
  taken TEXT NOT NULL);
CREATE INDEX host_build ON host (build);
CREATE TABLE attachment (number INTEGER PRIMARY KEY, attach TEXT NOT NULL, target TEXT NOT NULL, owner TEXT NOT NULL,
  UNIQUE (attach, target, owner));
CREATE TABLE attached (attachment INTEGER NOT NULL, host INTEGER NOT NULL, times INTEGER NOT NULL,
  PRIMARY KEY (host, attachment)) WITHOUT ROWID;
"""
_COLUMNS = "place, release, build_id, arch, functions, partial, judged_by, added"

Row = tuple[int, str, str, str, int, int, str, str]


class Store:
    """An open file. Every method raises Broken with one sentence where the file is damaged or the disk is full."""

    def __init__(self, path: str, create: bool = False) -> None:
        import os

        self.path = path
        self._has_hosts = True
        if not create and not os.path.exists(path):
            raise NotThere(path, "there is no such fleet", "probe-scout fleet add SNAPSHOT makes it")
        try:
            self._base = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            self._check(create)
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def _broken(self, error: sqlite3.Error) -> Broken:
        said = str(error)
        return Broken(self.path, "not a fleet of probe-scout" if "not a database" in said else f"SQLite: {said}")

    def _check(self, create: bool) -> None:
        """Raises Broken for a file of another program; makes the tables in an empty one."""
        base = self._base
        base.execute("PRAGMA synchronous = FULL")
        owner = base.execute("PRAGMA application_id").fetchone()[0]
        if owner == APPLICATION:
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (1, SCHEMA):
                raise Broken(self.path, f"a fleet of schema {version}, and this version reads {SCHEMA}")
            self._has_hosts = version == SCHEMA
            if create and not self._has_hosts:
                self._add_hosts()
            return
        if owner or base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] or not create:
            raise Broken(self.path, "not a fleet of probe-scout")
        base.execute("BEGIN IMMEDIATE")
        if not base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:  # no other writer was first
            self._make(_TABLES + _HOST_TABLES)
            base.execute(f"PRAGMA application_id = {APPLICATION}")
            base.execute(f"PRAGMA user_version = {SCHEMA}")
        base.execute("COMMIT")

    def _make(self, tables: str) -> None:
        for statement in tables.split(";\n"):
            if statement.strip():
                self._base.execute(statement)

    def _add_hosts(self) -> None:
        """The tables of hosts, for a file of schema 1."""
        self._base.execute("BEGIN IMMEDIATE")
        if self._base.execute("PRAGMA user_version").fetchone()[0] == 1:  # no other writer was first
            self._make(_HOST_TABLES)
            self._base.execute(f"PRAGMA user_version = {SCHEMA}")
        self._base.execute("COMMIT")
        self._has_hosts = True

    def close(self) -> None:
        """Nothing is lost without it; the file is let go at once."""
        self._base.close()

    # reading

    def builds(self) -> list[Row]:
        """Every build, in the order of coming."""
        return self._all(f"SELECT {_COLUMNS} FROM build ORDER BY place")

    def kept(self, key: str) -> Row | None:
        """The build of this key."""
        found: list[Row] = self._all(f"SELECT {_COLUMNS} FROM build WHERE key = ?", (key,))
        return found[0] if found else None

    def verdicts(self) -> dict[int, str]:
        """Number to JSON."""
        return dict(self._all("SELECT number, text FROM verdict"))

    def names(self) -> int:
        """How many names are kept."""
        return int(self._all("SELECT count(*) FROM function")[0][0])

    def named(self, name: str, module: str | None) -> list[tuple[str, str, bytes]]:
        """The rows of a name, of one module where it is given ("" is vmlinux)."""
        more, words = ("", (name,)) if module is None else (" AND module = ?", (name, module))
        return self._all(f"SELECT name, module, cells FROM function WHERE name = ?{more} ORDER BY module", words)

    def matching(self, glob: str) -> Iterator[tuple[str, str, bytes]]:
        """The rows whose name matches, sorted by name."""
        try:
            yield from self._base.execute(
                "SELECT name, module, cells FROM function WHERE name GLOB ? ORDER BY name, module", (glob,)
            )
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def differing(self, glob: str, a: int, b: int) -> Iterator[tuple[str, str, bytes]]:
        """The rows whose name matches and whose bytes differ at two places, sorted by name; those of WIDE always.

        A row may end before a place, where its byte is 0 as well.
        """
        statement = (
            "SELECT name, module, cells FROM function WHERE name GLOB ?1"
            " AND (substr(cells, ?2, 1) IS NOT substr(cells, ?3, 1) OR substr(cells, ?2, 1) = x'ff')"
            " ORDER BY name, module"
        )
        try:
            yield from self._base.execute(statement, (glob, a + 1, b + 1))
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def wide(self, name: str, module: str, place: int) -> int:
        """The verdict that has no room in a byte."""
        words = (name, module, place)
        found = self._all("SELECT verdict FROM wide WHERE name = ? AND module = ? AND place = ?", words)
        return int(found[0][0]) if found else 0

    # hosts

    def hosts(self) -> list[tuple[str, str, str, str, int]]:
        """Name, release, build, when it sent, and how much is attached, by name."""
        if not self._has_hosts:
            return []
        return self._all(
            "SELECT name, release, build, taken, coalesce(n, 0) FROM host LEFT JOIN"
            " (SELECT host, sum(times) n FROM attached GROUP BY host) ON host = number ORDER BY name"
        )

    def unowned(self, examples: int) -> list[tuple[str, str, int, list[str]]]:
        """Attach type and target of what nobody owns, on how many hosts, and some of their names."""
        rows = "attached CROSS JOIN attachment ON attachment.number = attachment JOIN host ON host.number = host"
        found = self._counted(f"{rows} WHERE owner = ''", (), examples)
        return [(attach, target, count, names) for attach, target, _, count, names in found]

    def attached_on(self, build: str, examples: int) -> tuple[int, list[tuple[str, str, str, int, list[str]]]]:
        """How many hosts run a build, and what they have attached: attach type, target, owner, hosts, some names."""
        if not self._has_hosts:
            return 0, []
        total = int(self._all("SELECT count(*) FROM host WHERE build = ?", (build,))[0][0])
        rows = "host CROSS JOIN attached ON host = host.number CROSS JOIN attachment ON attachment.number = attachment"
        return total, self._counted(f"{rows} WHERE build = ?", (build,), examples)

    def _counted(
        self, rows: str, words: tuple[object, ...], examples: int
    ) -> list[tuple[str, str, str, int, list[str]]]:
        """Attachments of some rows, the most frequent first. SQLite keeps the order of tables at a CROSS JOIN."""
        if not self._has_hosts:
            return []
        found: dict[tuple[str, str, str], list[str]] = {}
        for attach, target, owner, name in self._all(f"SELECT attach, target, owner, name FROM {rows}", words):
            found.setdefault((attach, target, owner), []).append(name)
        counted = [(*key, len(names), sorted(names)[:examples]) for key, names in found.items()]
        return sorted(counted, key=lambda one: (-one[3], one[:3]))

    def _all(self, statement: str, words: tuple[object, ...] = ()) -> list[Any]:
        try:
            return self._base.execute(statement, words).fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from None

    # writing

    def put(
        self, key: str, build: tuple[str, str, str, int, int, str, str], rows: Iterable[tuple[str, str, str]]
    ) -> None:
        """One build with its functions, (name, module, JSON of the verdict); a build of the same key is replaced.

        Either all of it is kept or nothing.
        """
        with self._transaction():
            self._put(key, build, rows)

    def put_host(
        self, name: str, build: str, release: str, taken: str, attached: Iterable[tuple[str, str, str]]
    ) -> bool:
        """One host with what it has attached, (attach type, target, owner); whether it was there. All or nothing."""
        with self._transaction():
            return self._put_host(name, build, release, taken, attached)

    def _put_host(
        self, name: str, build: str, release: str, taken: str, attached: Iterable[tuple[str, str, str]]
    ) -> bool:
        base = self._base
        found = base.execute("SELECT number FROM host WHERE name = ?", (name,)).fetchone()
        if found is None:
            number = base.execute("INSERT INTO host VALUES (NULL, ?, ?, ?, ?)", (name, build, release, taken)).lastrowid
        else:
            number = found[0]
            base.execute(
                "UPDATE host SET build = ?, release = ?, taken = ? WHERE number = ?", (build, release, taken, number)
            )
            base.execute("DELETE FROM attached WHERE host = ?", (number,))
        for row in attached:
            base.execute("INSERT OR IGNORE INTO attachment VALUES (NULL, ?, ?, ?)", row)
            base.execute(
                "INSERT INTO attached SELECT number, ?, 1 FROM attachment WHERE attach = ? AND target = ? AND owner = ?"
                " ON CONFLICT DO UPDATE SET times = times + 1",
                (number, *row),
            )
        return found is not None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing. Raises Broken."""
        base = self._base
        try:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield
                base.execute("COMMIT")
            except BaseException:
                if base.in_transaction:
                    base.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def _put(
        self, key: str, build: tuple[str, str, str, int, int, str, str], rows: Iterable[tuple[str, str, str]]
    ) -> None:
        base = self._base
        found = base.execute("SELECT place FROM build WHERE key = ?", (key,)).fetchone()
        if found is None:
            place = int(base.execute("SELECT coalesce(max(place), -1) + 1 FROM build").fetchone()[0])
        else:
            place = int(found[0])
        numbers = {text: number for number, text in base.execute("SELECT number, text FROM verdict")}
        cells = {(n, m): c for n, m, c in base.execute("SELECT name, module, cells FROM function")}
        base.execute("DELETE FROM wide WHERE place = ?", (place,))
        new: dict[tuple[str, str], int] = {}
        for name, module, text in rows:
            number = numbers.get(text)
            if number is None:
                number = numbers[text] = len(numbers) + 1
                base.execute("INSERT INTO verdict VALUES (?, ?)", (number, text))
            if (name, module) in new:
                raise UsageError(f"{name}: two functions of one name and module in a build")
            new[name, module] = number
        changed = ((n, m, self._cell(cells.get((n, m), b""), place, v)) for (n, m), v in new.items())
        base.executemany("INSERT OR REPLACE INTO function VALUES (?, ?, ?)", changed)
        gone = ((n, m, self._cell(c, place, 0)) for (n, m), c in cells.items() if place < len(c) and (n, m) not in new)
        base.executemany("INSERT OR REPLACE INTO function VALUES (?, ?, ?)", list(gone))
        over = [(n, m, place, v) for (n, m), v in new.items() if v >= WIDE]
        base.executemany("INSERT INTO wide VALUES (?, ?, ?, ?)", over)
        base.execute("INSERT OR REPLACE INTO build VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (place, key, *build))

    @staticmethod
    def _cell(cells: bytes, place: int, number: int) -> bytes:
        """A row with this byte set; a row ends with its last build that has the name."""
        cells = cells.ljust(place, b"\0")
        return cells[:place] + bytes((min(number, WIDE),)) + cells[place + 1 :]
