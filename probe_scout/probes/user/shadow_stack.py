"""User shadow stacks and return probes: a file that is built for them, on a kernel whose return probes are not.

arch/x86/kernel/shstk.c: shstk_update_last_frame, which arch_uretprobe_hijack_return_addr needs, came after the shadow
stacks themselves (shstk_alloc_thread_stack); kernels between them replace the address on the ordinary stack alone, and
the function's RET then faults. Read in the source; hardware for it was not at hand.
"""

from __future__ import annotations

from struct import error as StructError
from struct import unpack_from

from ...formats.elf.user_image import EM_X86_64
from ...model.report import Hazard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...formats.elf.user_image import UserImage
    from ...kernel.kernel import Kernel

_NT_GNU_PROPERTY, _X86_FEATURE_1_AND, _SHSTK = 5, 0xC0000002, 2
_HAS, _KNOWS = "shstk_alloc_thread_stack", "shstk_update_last_frame"


def is_marked(image: UserImage) -> bool:
    """GNU_PROPERTY_X86_FEATURE_1_SHSTK: the linker found that every part of the file is ready for shadow stacks."""
    if image.machine != EM_X86_64 or image.section(".note.gnu.property") is None:
        return False
    for note in image.notes(".note.gnu.property"):
        if note.name != b"GNU" or note.type != _NT_GNU_PROPERTY:
            continue
        at = 0
        try:
            while at + 8 <= len(note.content):
                kind, size = unpack_from(image.order + "II", note.content, at)
                if kind == _X86_FEATURE_1_AND and size == 4:
                    return bool(unpack_from(image.order + "I", note.content, at + 8)[0] & _SHSTK)
                at += 8 + -(-size // 8) * 8
        except StructError:
            return False
    return False


def hazards(k: Kernel, image: UserImage) -> Iterator[Hazard]:
    """The danger of a return probe; nothing where the file is not marked, or the kernel knows what to do."""
    if is_marked(image) and k.has_function(_HAS) and not k.has_function(_KNOWS):
        yield Hazard(
            "hazard.uretprobe_shadow_stack",
            "The file is built for shadow stacks, and this kernel's return probes do not know them: a process that "
            "runs with one ends with SIGSEGV when the function returns.",
        )
