"""Recorded answers judged from the kernels' packages, with the modules that each guest had loaded.

`pytest -m image`. Needs the lab's kernels (`python -m tests.vm fetch`): a kernel that is missing fails. Whole answers
of an earlier lab are judged too where they lie beside the project or in PROBE_SCOUT_CAPTURES.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import probe_scout
from probe_scout.kernel import from_image
from tests.vm import cache

from . import recorded, scoreboard, shared_answers

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.image

SHARED = Path(os.environ.get("PROBE_SCOUT_CAPTURES") or Path(__file__).parents[3] / "shared" / "kernels")
# Where modules lay decides about these, and no package tells: the answer names the limit.
STALE = {"7.3": {"__tun_wake_queue"}}
# What stays unknown: a jump at the entry, which boot may make a no-op, and code of modules.
WANTED = frozenset(("code", "entry_code"))
# And of kernels compiled without an option: lists that only symbols of data show, page faults' typed tracepoints.
BUILT = WANTED | {"btf_ids", "btf"}


def judge(lab: str, loaded: bytes, tmp: Path) -> tuple[scoreboard.Judge, str, str]:
    """The judge of one kernel's image beside its modules, and how the kernel is opened again."""
    modules = tmp / "modules"
    modules.write_bytes(loaded)
    image = str(cache.root() / "kernels" / lab / "vmlinuz")
    opened = from_image.open_image(image, f"@{modules}")
    assert opened is not None
    return scoreboard.Judge(*opened), image, f"@{modules}"


def check(
    lab: str,
    loaded: bytes,
    answers: Iterable[tuple[str, tuple[recorded.Answer, ...]]],
    tmp: Path,
    wanted: frozenset[str] = WANTED,
) -> None:
    one, image, modules = judge(lab, loaded, tmp)
    rows = scoreboard.score(one, answers)
    wrong = {text for row in rows.values() for text in row.wrong}
    stale = STALE.get(lab, set())
    assert wrong <= {f"{name}: we yes, kernel EINVAL at register" for name in stale}
    assert {fact for row in rows.values() for fact in row.reasons} <= wanted
    assert not [text for row in rows.values() for text in row.errno_wrong]
    asked, unknown = (sum(getattr(row, field) for row in rows.values()) for field in ("asked", "unknown"))
    print(f"{lab}: {asked} asked, {len(wrong)} wrong, {unknown} unknown")
    assert unknown <= 0.02 * asked
    kernel = probe_scout.open_kernel(image, modules=modules)
    for report in kernel.check(sorted(stale), ["kprobe"]).targets:
        assert "limit.stale_bug" in {limit.id for limit in report.limits}


@pytest.mark.parametrize("name", list(scoreboard.kernels()))
def test_bundled_answers(name, tmp_path):
    snapshot, answers = scoreboard.kernels()[name]
    told = scoreboard.provenance(name)
    assert (cache.root() / "kernels" / told["kernel"] / "release").read_text().strip() == told["release"]
    loaded = scoreboard.open_recorded(snapshot).read("proc/modules")
    check(told["kernel"], loaded, recorded.read(answers), tmp_path)


@pytest.mark.parametrize("lab", ["6.12", "7.3"])
def test_answers_of_an_earlier_lab(lab, tmp_path):
    folder = SHARED / f"answers-{lab}"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    with tarfile.open(SHARED / f"debian-{lab}.tar.xz") as archive:
        names = [member for member in archive if member.name.endswith("proc/modules")]
        file = archive.extractfile(names[0])
        assert file is not None
        loaded = file.read()
    check(lab, loaded, ((target, (answer,)) for target, answer in shared_answers.rows(folder)), tmp_path)


@pytest.mark.parametrize(
    "answers", sorted((scoreboard.ROOT / "fixtures" / "built").glob("*.tsv.xz")), ids=lambda path: path.name
)
def test_answers_of_a_kernel_compiled_here_from_its_image(answers, tmp_path):
    lab = f"built-{answers.name.removesuffix('.tsv.xz')}"
    if cache.find(lab) is None:
        pytest.skip(f"{lab} is not compiled: python -m tests.vm built compile {lab.removeprefix('built-')}")
    check(lab, b"", recorded.read(answers), tmp_path, BUILT)
