"""Damaged programs: every command answers or says one sentence; PROBE_SCOUT_EXAMPLES sets how many are tried."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probe_scout.errors import ProbeScoutError
from probe_scout.formats.dwarf import by_address, inline_facts, prototypes
from probe_scout.formats.dwarf.units import DebugFile
from probe_scout.formats.dwarf.walk import walk
from probe_scout.formats.elf.image import ElfImage
from probe_scout.formats.elf.user_image import UserImage
from probe_scout.frontends.session import open_kernel
from tests.builders import programs

EXAMPLES = settings(
    max_examples=int(os.environ.get("PROBE_SCOUT_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SOURCE = r"""
struct node { struct node *next; int bits : 3; union { float f; long l; } u; int room[4]; };
static inline __attribute__((always_inline)) int inner(struct node n, double d) { return n.bits + (int)d; }
__attribute__((noinline)) int work(struct node n, const char *const *names, int (*call)(struct node *, ...), double d)
{ return inner(n, d) + (names != 0) + (call != 0); }
int main(int argc, char **argv) { struct node n = { 0 }; return work(n, 0, 0, argc) + inner(n, argc); }
"""
SECTIONS = (".debug_info", ".debug_abbrev", ".debug_str", ".debug_aranges", ".debug_line", ".debug_loclists",
            ".debug_rnglists", ".symtab", ".strtab", ".text")  # fmt: skip


@functools.cache
def whole(compiler: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return programs.compiled(Path(folder), "t", SOURCE, "-Wl,--build-id", compiler=compiler).read_bytes()


@st.composite
def damaged(draw, compiler: str) -> bytes:
    """The program with bytes changed inside sections that are read, or cut off, or its headers changed."""
    raw = bytearray(whole(compiler))
    image = UserImage(bytes(raw), "t")
    places = [s for s in image.sections if s.name in SECTIONS and s.size]
    for _ in range(draw(st.integers(1, 8))):
        section = draw(st.sampled_from(places))
        at = section.offset + draw(st.integers(0, section.size - 1))
        raw[at] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF, raw[at] ^ 1, raw[at] ^ 0x80, (raw[at] + 1) & 0xFF)))
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, 63))
        raw[at] = draw(st.integers(0, 255))
    if draw(st.integers(0, 9)) == 0:
        del raw[draw(st.integers(64, len(raw))) :]
    return bytes(raw)


def answered(question):
    """The answer; None for an error in one sentence. Any other error passes."""
    try:
        return question()
    except ProbeScoutError as error:
        if "\n" in str(error):
            raise AssertionError(f"not one sentence: {error}") from error
        return None


@pytest.mark.property
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@EXAMPLES
@given(st.data())
def test_damaged_debug_information_gives_facts_or_one_sentence(compiler, data):
    """PROBE_SCOUT_EXAMPLES=10000 is the long lane."""
    raw = data.draw(damaged(compiler))
    file = answered(lambda: DebugFile(ElfImage(raw, "t")))
    if file is None:
        return
    offsets = answered(lambda: [offset for unit in file.units for offset, _, _ in walk(unit).functions]) or []
    for offset in offsets[:40]:
        answered(functools.partial(prototypes.prototype, file, offset))
    for question in (
        lambda: by_address.function_at(file, 0x1139),
        lambda: inline_facts.find(file, "inner"),
        lambda: inline_facts.find(file, "work", by_linkage=True),
    ):
        answered(question)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return programs.root_for_programs(tmp_path_factory.mktemp("root"))


@pytest.mark.property
@EXAMPLES
@given(st.data())
def test_commands_on_a_damaged_program_answer_or_say_one_sentence(root, data):
    (root / "app/t").write_bytes(data.draw(damaged("gcc")))
    kernel = open_kernel(str(root))
    for question in (
        lambda: kernel.check(["/app/t:work"], ["uprobe", "uretprobe"]),
        lambda: kernel.inline("/app/t:inner"),
        lambda: kernel.stub("/app/t:work"),
    ):
        answered(question)
