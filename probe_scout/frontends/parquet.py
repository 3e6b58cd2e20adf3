"""`fleet export --parquet`: every function on every build as one Parquet file, sorted by name.

In that order neighbouring rows repeat, which makes the file small and the question of one name cheap in every engine.
"""

from __future__ import annotations

import os
from array import array

from ..errors import Broken, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ..sources.fleet_store import Row, Store

SCHEMA = "probe-scout/fleet-parquet/1"
_CELLS_AT_ONCE = 1 << 20
_WIDE = 255


def write(store: Store, path: str, types: Sequence[str]) -> int:
    """Write the file; how many rows it has. It appears whole or not at all. Raises UsageError without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("--parquet needs the package pyarrow: pip install 'probe-scout[parquet]'") from None
    builds, verdicts = store.builds(), _verdicts(store, types)
    heads = ("name", "module", "release", "build_id", "arch", *types)
    schema = pyarrow.schema([(head, pyarrow.string()) for head in heads], metadata={"schema": SCHEMA})
    beside, total = f"{path}.{os.getpid()}.part", 0
    try:
        with pyarrow.parquet.ParquetWriter(beside, schema, compression="zstd", use_dictionary=True) as writer:
            for table in _tables(pyarrow, store, builds, verdicts, schema):
                writer.write_table(table, row_group_size=_CELLS_AT_ONCE)
                total += table.num_rows
        os.replace(beside, path)
    except OSError as error:
        raise Broken(path, f"cannot be written: {error.strerror or error}") from None
    finally:
        if os.path.lexists(beside):
            os.unlink(beside)
    return total


def _verdicts(store: Store, types: Sequence[str]) -> list[list[str | None]]:
    """For each type what every verdict says of it, by the verdict's number: yes, no:EINVAL, unknown."""
    import json

    kept = store.verdicts()
    rows: list[list[str | None]] = [[None] * (max(kept, default=0) + 1) for _ in types]
    for number, text in kept.items():
        answers, errno = json.loads(text)
        for row, attach in zip(rows, types, strict=True):
            if attach in answers:
                row[number] = answers[attach] + (f":{errno[attach]}" if attach in errno else "")
    return rows


def _tables(
    arrow: Any, store: Store, builds: Sequence[Row], verdicts: Sequence[Sequence[str | None]], schema: Any
) -> Iterator[Any]:
    places = [build[0] for build in builds]
    width = max(places, default=0) + 1
    of_builds = [arrow.array([row[column] for row in builds]) for column in (1, 2, 3)]
    of_types = [arrow.array(row, arrow.string()) for row in verdicts]
    place_of = array("i", [0] * width)  # a build's place in the store to its place in the list
    for number, place in enumerate(places):
        place_of[place] = number
    names: list[str] = []
    modules: list[str] = []
    numbers, rows, columns = array("H"), array("i"), array("i")

    def table() -> Any:
        row, column = (arrow.array(some, arrow.int32()) for some in (rows, columns))
        number = arrow.array(numbers, arrow.uint16())
        data = [arrow.array(some, arrow.string()).take(row) for some in (names, modules)]
        data += [some.take(column) for some in of_builds] + [some.take(number) for some in of_types]
        return arrow.Table.from_arrays(data, schema=schema)

    for name, module, cells in store.matching("*"):
        there = [place for place, byte in enumerate(cells) if byte]
        if len(rows) + len(there) > _CELLS_AT_ONCE and len(rows):
            yield table()
            names, modules = [], []
            numbers, rows, columns = array("H"), array("i"), array("i")
        rows.extend([len(names)] * len(there))
        names.append(name)
        modules.append(module)
        columns.extend([place_of[place] for place in there])
        bytes_there = [cells[place] for place in there]
        if _WIDE in bytes_there:
            pairs = zip(there, bytes_there, strict=True)
            bytes_there = [store.wide(name, module, place) if byte == _WIDE else byte for place, byte in pairs]
        numbers.extend(bytes_there)
    if len(rows):
        yield table()
