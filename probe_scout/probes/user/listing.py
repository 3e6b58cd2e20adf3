"""All functions, or all USDT probes, of a file with their answers: what `scan FILE` shows.

The answers are those for a file that a process maps: an instruction that the kernel refuses is a no, though an attach
before anybody maps the file would succeed (and never fire).
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from ...errors import UsageError
from ...formats.elf import usdt
from ...formats.elf.user_image import EM_X86_64
from ...model.report import UserScanRow
from ...model.traits import UserTraits
from ...model.user_target import USDT, UserTarget, read
from ...named_tuple import NamedTuple
from ...sources import user_files
from . import code, files, one_process, report, symbols

_EVERYWHERE = "*"  # in the place of a file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...formats.elf.user_image import UserImage
    from ...kernel.kernel import Kernel
    from ...model.facts import Unread


class Listed(NamedTuple):
    """What a listing is about: its files, those among them that may not be read, and the rows, made when asked for."""

    rows: Iterator[UserScanRow]
    unread: tuple[Unread, ...]
    files: tuple[files.UserFile, ...]


def listed(k: Kernel, text: str, types: Sequence[str], answer: str | None = None, pid: int | None = None) -> Listed:
    """The functions (or static probes) that match, in order of address.

    Of one file; with `pid` of every file of which that process maps code; of `usdt:*:PROVIDER:NAME` of those of all
    processes. Raises UsageError for what is no ELF file, and for a process that may not be looked at.
    """
    if pid is not None:
        one_process.checked(k, read(f"pid:{pid}:*"), pid)
        text = f"pid:{pid}:{text}"
    target = read(text if ":" in text.lstrip("/.") else f"{text}:*")
    asked = report.types_for(target, types)
    if target.kind == USDT and target.file == _EVERYWHERE:
        if files.kind_of(k) != files.LIVE:
            raise UsageError(f"{target}: only this machine's processes can be asked about; give a path")
        found = files.of_mapped(k, user_files.processes())
    elif pid is not None and not target.file:
        found = files.of_mapped(k, (pid,))
    else:
        found = [files.found(k, target)]
        if found[0].image is None:
            raise UsageError(found[0].why_not or f"{found[0].path} could not be read")
    # Of a process's files some may be no ELF files (an interpreter's own code): they have no functions to list.
    unread = tuple(one.unread for one in found if one.image is None and one.unread is not None)
    readable = tuple(one for one in found if one.image is not None)
    return Listed(_rows(k, readable, target, asked, answer), unread, readable)


def rows(k: Kernel, text: str, types: Sequence[str], answer: str | None = None) -> Iterator[UserScanRow]:
    """As `listed`, the rows alone."""
    return listed(k, text, types, answer).rows


def _rows(
    k: Kernel, of: Sequence[files.UserFile], target: UserTarget, asked: Sequence[str], answer: str | None
) -> Iterator[UserScanRow]:
    told: dict[tuple[code.Verdicted | None, tuple[bool, bool]], tuple[dict[str, str], dict[str, str]]] = {}
    for file in of:
        image = file.image
        assert image is not None
        is_judged, is_64bit = code.is_judged(image), image.machine == EM_X86_64
        for name, offset, source, arguments in _places(file, image, target):
            here = None
            if offset is not None and is_judged:
                here = code.PLAIN if is_64bit and code.is_plain(image, offset) else code.judge(k, image, offset)
            key = (here, arguments)
            if key not in told:
                told[key] = _answers(k, here, arguments, asked)
            answers, errno = told[key]
            if answer is None or answer in answers.values():
                refused, misread = (here.refused, "" if here.harmless else here.misread) if here else ("", "")
                yield UserScanRow(name, None, answers, errno, offset, source, refused, misread)


def says_nothing_found(of: Sequence[files.UserFile], kind: str) -> str:
    """Which tables were looked through, where nothing matched; "" where nothing is to be said."""
    if len(of) != 1:
        return f"{len(of)} files were looked through" if of else ""
    (file,) = of
    image = file.image
    assert image is not None
    if kind == USDT:
        total = sum(1 for _ in usdt.sites(image))
        return f"{file.path} has {total} sites of static probes" if total else f"{file.path} has no static probes"
    tables = list(dict.fromkeys(symbols.SOURCES.get(s.table, s.table) for s in symbols.everything(file)))
    if tables:
        return f"{file.path} has functions by {' and '.join(tables)}"
    return f"{file.path} names no functions: it is stripped, and no debug file of it was found"


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
