"""formats/elf/reduced.py: what a snapshot carries of a program gives the answers that the whole file gives."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.elf.reduced import reduced
from probe_scout.formats.elf.user_image import UserImage
from probe_scout.frontends.session import open_kernel
from tests.builders import programs
from tests.builders.situations import SOURCE
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reduced")
    programs.compiled(folder, "sit", SOURCE, "-O1", "-lpthread")
    programs.compiled(folder, "traced", programs.USDT)
    programs.library(folder)
    for name in ("sit", "traced", "libps.so"):  # debug information stays out of snapshots
        programs.run(programs.tool("strip"), "--strip-debug", str(folder / name))
    programs.run(programs.tool("strip"), "-o", str(folder / "stripped"), str(folder / "sit"))
    return folder


@pytest.mark.parametrize("name", ["sit", "traced", "libps.so", "stripped"])
def test_answers_of_the_whole_file_and_of_the_snapshot_are_equal(name: str, built, tmp_path):
    whole, part = tmp_path / "root", tmp_path / "snapshot"
    raw = (built / name).read_bytes()
    for folder, path, data in ((whole, f"app/{name}", raw), (part, f"tool/user/app/{name}", reduced(raw, name))):
        write_tree(folder, tiny_files(symbols=("foo",)))
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(data)
    (whole / "etc").mkdir(exist_ok=True)
    one, other = open_kernel(str(whole)), open_kernel(str(part))
    assert (one.info().source, other.info().source) == ("root", "snapshot")
    rows = list(one.scan(f"/app/{name}").rows)
    assert rows == list(other.scan(f"/app/{name}").rows)
    assert bool(rows) == (name != "stripped")
    probes = f"usdt:/app/{name}:*:*"
    assert list(one.scan(probes).rows) == list(other.scan(probes).rows)
    texts = [row.target for row in rows[:40]]
    texts += [f"/app/{name}:{at}" for at in ("0x0", "0x1010", "no_such", hex(len(raw)))]
    for text in texts:
        for a, b in zip(_checked(one, text), _checked(other, text), strict=True):
            assert a == b, text


def _checked(kernel, text):
    """The report, without why arguments are not known: a snapshot carries no debug information, a program has none."""
    report = kernel.check([text]).targets[0]
    return report._replace(place=report.place and report.place._replace(arguments_unread=None))


def test_data_and_debug_information_are_left_out(tmp_path):
    secret = 'char secret[] = "correct horse battery"; const char quiet[] = "staple of the data";\n'
    path = programs.compiled(tmp_path, "prog", secret + programs.PROGRAM, "-g")
    raw = path.read_bytes()
    part = reduced(raw, "prog")
    assert len(part) == len(raw)
    assert b"battery" in raw
    assert b"battery" not in part
    assert b"staple" not in part
    image = UserImage(part, "prog")
    assert UserImage(raw, "prog").has_debug_info
    assert not image.has_debug_info
    assert image.build_id == UserImage(raw, "prog").build_id
    assert [s.name for s in image.symbols()] == [s.name for s in UserImage(raw, "prog").symbols()]
    assert len(zlib.compress(part)) < len(zlib.compress(raw))


def test_damaged_files_end_in_one_sentence(built):
    raw = (built / "sit").read_bytes()
    chance = random.Random(11)
    for _ in range(200):
        cut = bytearray(raw[: chance.randrange(0, len(raw))] if chance.random() < 0.3 else raw)
        for _ in range(chance.randrange(1, 30)):
            if cut:
                cut[chance.randrange(len(cut))] = chance.randrange(256)
        try:
            assert len(reduced(bytes(cut), "cut")) == len(cut)
        except Malformed:
            pass
