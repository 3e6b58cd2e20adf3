"""Return probes on files that are built for shadow stacks, by kernels that know of them and that do not; the vDSO."""

from __future__ import annotations

import pytest

from probe_scout.formats.elf.user_image import UserImage
from probe_scout.frontends.session import open_kernel
from probe_scout.probes.user import shadow_stack
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

# The property that -fcf-protection and a runtime built with it give; Debian's runtime has it not.
MARKED = (
    programs.PROGRAM
    + r"""
__asm__(".pushsection .note.gnu.property,\"a\"\n.balign 8\n.long 4,16,5\n.asciz \"GNU\"\n"
        ".long 0xc0000002,4,3,0\n.popsection\n");
"""
)
HAS, KNOWS = "shstk_alloc_thread_stack", "shstk_update_last_frame"


def hazards(tmp_path, source: str, symbols: tuple[str, ...]) -> set[str]:
    write_tree(tmp_path, tiny_files(symbols=("foo", *symbols)))
    (tmp_path / "app").mkdir()
    # Relocatable parts without the property make the linker drop it, so that it is put in at the end.
    path = programs.compiled(tmp_path / "app", "t", source, "-nostartfiles", "-Wl,-e,main")
    marked = shadow_stack.is_marked(UserImage(path.read_bytes(), "t"))
    assert marked == (source is MARKED)
    (report,) = open_kernel(str(tmp_path)).check(["/app/t:work"], ["uprobe", "uretprobe"]).targets
    return {hazard.id for hazard in report.hazards}


@pytest.mark.parametrize(
    ("source", "symbols", "is_told"),
    [(MARKED, (HAS,), True), (MARKED, (HAS, KNOWS), False), (MARKED, (), False), (programs.PROGRAM, (HAS,), False)],
    ids=["in between", "knows them", "has none", "not marked"],
)
def test_only_a_marked_file_on_a_kernel_in_between_is_in_danger(tmp_path, source, symbols, is_told):
    assert ("hazard.uretprobe_shadow_stack" in hazards(tmp_path, source, symbols)) is is_told


def test_a_damaged_property_is_none():
    for content in (b"", b"\x02\x00\x00\xc0\x04\x00\x00\x00", b"\xff" * 12):
        image = UserImage(b"\x7fELF\x02\x01\x01" + bytes(57), "t")
        image.__dict__["sections"] = ()
        assert not shadow_stack.is_marked(image), content


def test_the_vdso_takes_no_probe_and_what_does_is_named(tmp_path):
    write_tree(tmp_path, tiny_files(symbols=("foo",)))
    (report,) = open_kernel(str(tmp_path)).check(["linux-vdso.so.1:__vdso_gettimeofday"]).targets
    assert {v.answer for v in report.verdicts} == {"no"}
    assert report.verdicts[0].findings[0].rule == "user_symbol.vdso"
    assert "libc:clock_gettime" in report.diagnosis[0].says
