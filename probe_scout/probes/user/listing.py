"""All functions, or all USDT probes, of a file with their answers: what `scan FILE` shows.

The answers are those for a file that a process maps: an instruction that the kernel refuses is a no, though an attach
before anybody maps the file would succeed (and never fire).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...formats.elf import usdt
from ...formats.elf.user_image import EM_X86_64
from ...model.report import UserScanRow
from ...model.traits import UserTraits
from ...model.user_target import USDT, UserTarget, read
from . import code, files, report, symbols

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...formats.elf.user_image import UserImage
    from ...kernel.kernel import Kernel


def rows(k: Kernel, text: str, types: Sequence[str], answer: str | None = None) -> Iterator[UserScanRow]:
    """The functions (or probes) of a file that match, in order of address. Raises UsageError for no ELF file."""
    target = read(text if ":" in text.lstrip("/.") else f"{text}:*")
    asked = report.types_for(target, types)
    file = files.found(k, target)
    image = file.image
    if image is None:
        raise UsageError(file.why_not or f"{file.path} could not be read")
    is_x86, is_64bit = code.is_x86(image), image.machine == EM_X86_64
    told: dict[tuple[code.Verdicted | None, tuple[bool, bool]], tuple[dict[str, str], dict[str, str]]] = {}
    for name, offset, source, arguments in _places(file, image, target):
        here = None
        if offset is not None and is_x86:
            here = code.PLAIN if is_64bit and code.is_plain(image, offset) else code.judge(k, image, offset)
        key = (here, arguments)
        if key not in told:
            told[key] = _answers(k, here, arguments, asked)
        answers, errno = told[key]
        if answer is None or answer in answers.values():
            refused, misread = (here.refused, "" if here.harmless else here.misread) if here else ("", "")
            yield UserScanRow(name, None, answers, errno, offset, source, refused, misread)


def _places(
    file: files.UserFile, image: UserImage, target: UserTarget
) -> Iterator[tuple[str, int | None, str, tuple[bool, bool]]]:
    """(written target, file offset, where the name is from, whether libbpf refuses its arguments) of what matches."""
    if target.kind == USDT:
        for site in usdt.sites(image):
            if fnmatchcase(site.name, target.name) and fnmatchcase(site.provider, target.provider or "*"):
                odd = any(argument.libbpf for argument in site.arguments)
                many = len(site.arguments) > usdt.LIBBPF_ARGUMENTS_MAX
                yield f"usdt:{file.path}:{site.provider}:{site.name}", site.offset, "usdt", (odd, many)
        return
    found = (s for s in symbols.everything(file) if target.name == "*" or symbols.matches(target.name, s))
    for symbol in sorted(found, key=lambda s: (s.address, s.name)):
        name = symbol.written if symbol.version and not symbol.is_default else symbol.name
        yield f"{file.path}:{name}", image.file_offset(symbol.address), symbol.table, (False, False)


def _answers(
    k: Kernel, here: code.Verdicted | None, arguments: tuple[bool, bool], types: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """(answer, errno) by attach type, of one kind of place."""
    gaps = frozenset(("decoder",)) if here is None or not here.certain else frozenset()
    traits = UserTraits(
        mapped=True,
        refused=here.refused if here else "",
        argument_unknown=arguments[0],
        arguments_too_many=arguments[1],
        unread=gaps,
    )
    found = [report.of_traits(k, traits, attach) for attach in types]
    return {v.attach: v.answer for v in found}, {v.attach: v.errno for v in found if v.errno}
