"""Tables about the large files of a kernel, kept between runs: they save reading and searching them.

A file whose state is that of a table is mapped instead of read; else it is read as always, and `keep` can make its
tables when the answer is out. What is looked up by a table is compared with the file.
"""

from __future__ import annotations

from ..errors import ProbeScoutError
from ..sources import cache, kept_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..sources.mapped import Held, Mapped
    from ..sources.source import Source

_BTF, _KALLSYMS = "sys/kernel/btf/vmlinux", "proc/kallsyms"
_FTRACE = "sys/kernel/tracing/available_filter_functions"


class Indexes:
    """The tables of one source's files."""

    __slots__ = ("_held", "_questions", "parts")

    def __init__(self, source: Source) -> None:
        self._held: Callable[[str], Held | None] | None = getattr(source, "held", None) if cache.is_on() else None
        self._questions: dict[str, str] = {}  # of files that were asked for and have no tables yet
        self.parts: dict[str, kept_index.Parts] = {}

    def mapped(self, path: str) -> Mapped | bytes | None:
        """The file, where its tables are kept: `parts` has them then."""
        if self._held is None or path not in MAKERS:
            return None
        held = self._held(path)
        if held is None:
            return None
        question = _question(path, held.state)
        found = kept_index.load(question)
        if found is None:
            self._questions[path] = question
            return None
        self.parts[path] = found
        return bytes(held.raw) if isinstance(held.raw, memoryview) else held.raw

    def wanted(self) -> bool:
        """Whether a file was read whose tables could be kept."""
        return any(not kept_index.is_kept(question) for question in self._questions.values())

    def settle(self) -> None:
        """Forget the files that somebody wrote to since they were read."""
        for path, question in tuple(self._questions.items()):
            held = self._held(path) if self._held is not None else None
            if held is None or _question(path, held.state) != question:
                del self._questions[path]

    def keep(self, raws: Mapping[str, bytes]) -> None:
        """Make and keep the tables of the files that were read and settled."""
        for path, question in self._questions.items():
            raw = raws.get(path)
            if raw is None:
                continue
            try:
                kept_index.store(question, MAKERS[path](raw))
            except ProbeScoutError:  # what makes no sense is told by those who read it
                continue
        self._questions.clear()


def _question(path: str, state: str) -> str:
    return f"{kept_index.FORMAT}\x00{cache.this_program()}\x00{path}\x00{state}"


def _btf(raw: bytes) -> dict[str, bytes]:
    from ..formats.btf.reader import Btf

    return Btf(raw).make_tables()


def _kallsyms(raw: bytes) -> dict[str, bytes]:
    from .. import arch
    from ..formats.text import kallsyms_tables

    return kallsyms_tables.made(raw, arch.of_symbols(raw))


def _ftrace(raw: bytes) -> dict[str, bytes]:
    from ..formats.text import ftrace_tables

    return ftrace_tables.made(raw)


MAKERS: dict[str, Callable[[bytes], dict[str, bytes]]] = {
    _BTF: _btf,
    _KALLSYMS: _kallsyms,
    _FTRACE: _ftrace,
    _FTRACE + "_addrs": _ftrace,
}
