"""`scan`: every function, every attach type (probes/attach/bulk.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model import facts
from ..model.attach import for_kind
from ..model.report import ScanRow
from ..model.target import FUNCTION
from ..model.traits import Traits
from ..probes.attach.bulk import Group, Sweep, groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..kernel.kernel import Kernel
    from ..model.facts import Unread


def default_types() -> tuple[str, ...]:
    """What scan judges unless types are named: everything that applies to functions."""
    return for_kind(FUNCTION)


def _matcher(glob: str) -> Callable[[str], object] | None:
    if glob in ("", "*"):
        return None
    import fnmatch
    import re

    return re.compile(fnmatch.translate(glob)).match


def _matching(k: Kernel, glob: str) -> Iterator[Group]:
    """Groups reduced to the names that match; a glob with a colon is held against module:name."""
    match = _matcher(glob)
    for group in groups(k):
        if match is None:
            yield group
            continue
        head = f"{group.module or 'vmlinux'}:" if ":" in glob else ""
        kept = [at for at, name in enumerate(group.names) if match(head + name)]
        if kept:
            yield Group(group.module, [group.names[at] for at in kept], [group.traits[at] for at in kept])


def rows(k: Kernel, glob: str, types: Sequence[str], answer: str | None) -> Iterator[ScanRow]:
    """One row for each function whose name (or module:name) matches."""
    sweep = Sweep(k, types or default_types())
    for group in _matching(k, glob):
        for name, traits in zip(group.names, group.traits, strict=True):
            answers, errno = sweep.answers(traits)
            if answer is None or answer in answers.values():
                yield ScanRow(name, group.module, answers, errno)


def ndjson(k: Kernel, glob: str, types: Sequence[str], answer: str | None) -> Iterator[bytes]:
    """The same rows as ready lines: `{"target":…,"module":…,"answers":{…},"errno":{…}}`."""
    import json

    sweep = Sweep(k, types or default_types())
    texts: dict[Traits, bytes | None] = {}
    for group in _matching(k, glob):
        head = b'","module":' + json.dumps(group.module).encode() + b","
        tails: dict[int, bytes | None] = {}
        for traits in {id(t): t for t in group.traits}.values():
            if traits not in texts:
                answers, errno = sweep.answers(traits)
                text = json.dumps({"answers": answers, "errno": errno}, separators=(",", ":"))
                texts[traits] = None if answer is not None and answer not in answers.values() else text[1:].encode()
            known = texts[traits]
            tails[id(traits)] = None if known is None else head + known + b"\n"
        for name, traits in zip(_quoted(group.names), group.traits, strict=True):
            tail = tails[id(traits)]
            if tail is not None:
                yield b'{"target":"' + name + tail


def _quoted(names: list[str]) -> list[bytes]:
    """Names as they stand inside JSON quotes. Kernel names need no escapes; others are escaped."""
    text = "\n".join(names)
    if text.isascii() and '"' not in text and "\\" not in text and text.replace("\n", "").isprintable():
        return text.encode().split(b"\n") if names else []
    import json

    return [json.dumps(name)[1:-1].encode() for name in names]


def unread(k: Kernel) -> tuple[Unread, ...]:
    """Facts that kept answers from being given, for the head of a list."""
    wanted = (facts.KALLSYMS, facts.BTF, facts.FILTER_FUNCTIONS, facts.KPROBE_BLACKLIST, facts.CONFIG)
    found = [k.unread(fact) for fact in wanted]
    found.append(k.partial_gap(facts.KALLSYMS) if k.unread(facts.KALLSYMS) is None else None)
    return tuple(u for u in found if u is not None)
