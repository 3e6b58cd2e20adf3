"""Functions that do not come back, come back twice, or look at the stack; labels inside a function."""

from __future__ import annotations

import pytest

from probe_scout.formats.elf import imports
from probe_scout.formats.elf.user_image import UserImage
from probe_scout.frontends.cli import run
from probe_scout.frontends.session import open_kernel
from tests.builders import programs
from tests.builders.situations import SOURCE
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

RETURNS = ("uretprobe", "uretprobe.multi", "uprobe.session")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("returns")
    write_tree(folder, tiny_files(symbols=("foo",)))
    programs.compiled(folder, "sit", SOURCE, "-O1", "-fcf-protection=none", "-lpthread")
    programs.compiled(folder, "cet", SOURCE, "-O1", "-fcf-protection=full", "-Wl,-z,now", "-lpthread")
    return folder


def limits(root, name: str, program: str = "sit") -> dict[str, tuple[str, tuple[str, ...]]]:
    (report,) = open_kernel(str(root)).check([f"/{program}:{name}"]).targets
    return {limit.id.partition(".")[2]: (limit.effect, limit.types) for limit in report.limits}


@pytest.mark.parametrize("program", ["sit", "cet"])
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("plain", {}),
        ("use1", {}),
        ("jumper", {"uretprobe_jumped_out": ("partial", RETURNS)}),
        ("outer", {"uretprobe_jumped_out": ("partial", RETURNS)}),
        ("exiter", {"uretprobe_jumped_out": ("partial", RETURNS)}),
        ("forker", {"uretprobe_fork": ("more", RETURNS)}),
    ],
)
def test_what_a_function_calls(name: str, wanted: dict, program: str, root):
    assert limits(root, name, program) == wanted


def test_a_function_that_never_returns(root, capsys):
    (report,) = open_kernel(str(root)).check(["/sit:neverret"]).targets
    found = [(limit.effect, limit.types) for limit in report.limits if limit.id == "limit.uretprobe_no_return"]
    assert found == [("never", ("uretprobe", "uretprobe.multi")), ("partial", ("uprobe.session",))]
    line = ["check", "/sit:neverret", "--root", str(root)]
    assert run.main(line) == 0  # an entry probe sees every call
    assert run.main([*line, "--type", "uretprobe"]) == 1
    assert run.main([*line, "--type", "uprobe"]) == 0


def test_backtrace_is_cut_off(root):
    (report,) = open_kernel(str(root)).check(["/sit:bt"]).targets
    assert [hazard.id for hazard in report.hazards] == ["hazard.uretprobe_backtrace"]
    (entry,) = open_kernel(str(root)).check(["/sit:bt"], ["uprobe"]).targets
    assert entry.hazards == ()


def test_a_label_is_a_part_of_the_function_around_it(root):
    (report,) = open_kernel(str(root)).check(["/sit:a_loop_in"]).targets
    (site,) = report.place.sites
    assert site.symbol == "a_loop+0x5"
    assert {limit.id for limit in report.limits} == {"limit.uprobe_offset", "limit.uprobe_repeats"}
    assert [hazard.id for hazard in report.hazards] == ["hazard.uretprobe_offset"]
    assert report.forms[0].form == "uprobe//sit:a_loop_in"


def test_slots_are_those_of_readelf(root):
    """The relocations as readelf shows them."""
    for program in ("sit", "cet"):
        image = UserImage((root / program).read_bytes(), program)
        text = programs.run(programs.tool("readelf"), "-rW", str(root / program))
        wanted = {}
        for line in text.splitlines():
            words = line.split()
            if len(words) > 4 and words[2] in ("R_X86_64_JUMP_SLO", "R_X86_64_JUMP_SLOT", "R_X86_64_GLOB_DAT"):
                wanted[int(words[0], 16)] = words[4].partition("@")[0]
        found = imports.slots(image)
        assert found == wanted
        assert "longjmp" in " ".join(found.values())
