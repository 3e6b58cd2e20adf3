"""Programs that a snapshot carries are found by each of their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.session import open_kernel
from probe_scout.probes.user import carried
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree


@pytest.mark.machine
def test_what_a_snapshot_carries_is_found_by_its_other_names(tmp_path):
    library = tmp_path / "libps.so.1.2"
    library.write_bytes(programs.library(tmp_path).read_bytes())
    (tmp_path / "libps.so.1").symlink_to(library)
    kernel = open_kernel(str(_folder(tmp_path / "empty")))
    members = carried.carried(kernel._kernel, [str(tmp_path / "libps.so.1")])
    assert f"tool/user{library}" in members
    part = _folder(tmp_path / "part")
    for path, data in members.items():
        (part / path).parent.mkdir(parents=True, exist_ok=True)
        (part / path).write_bytes(data)
    found = open_kernel(str(part))
    for name in ("libps.so.1.2", "libps.so.1"):
        (report,) = found.check([f"{tmp_path / name}:entry"]).targets
        assert {v.answer for v in report.verdicts} == {"yes"}, name


def _folder(path: Path) -> Path:
    write_tree(path, tiny_files(symbols=("foo",)))
    return path


def test_what_cannot_be_carried(tmp_path):
    kernel = open_kernel(str(_folder(tmp_path / "empty")))
    (tmp_path / "text").write_text("no program")
    for name in ("text", "missing", "empty"):
        with pytest.raises(UsageError, match="--user-file"):
            carried.carried(kernel._kernel, [str(tmp_path / name)])
