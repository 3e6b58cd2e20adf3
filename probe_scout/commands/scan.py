"""`scan`: every function, every attach type (probes/attach/bulk.py)."""

from __future__ import annotations

from ..model import facts
from ..model.attach import for_kind
from ..model.report import ScanRow
from ..model.target import FUNCTION
from ..named_tuple import NamedTuple
from ..probes.attach.bulk import Group, Sweep, groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ..kernel.kernel import Kernel
    from ..model.facts import Unread

    _Told = tuple[dict[str, str], dict[str, str]]  # by attach type: the answer, and errno of each no


def default_types() -> tuple[str, ...]:
    """What scan judges unless types are named: everything that applies to functions."""
    return for_kind(FUNCTION)


class Wanted(NamedTuple):
    """Which functions: those that one of `globs` matches and none of `without`, by name or as MODULE:NAME.

    `args`: types, of which each is one of its parameters; `returns`: the type that it returns. As C writes them, const
    apart. A function that BTF does not describe fits no type; `untyped` counts those that were left out for it.
    """

    globs: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    returns: str = ""


def _matcher(globs: Sequence[str]) -> Callable[[str], object] | None:
    if not globs or any(glob in ("", "*") for glob in globs):
        return None
    import fnmatch
    import re

    return re.compile("|".join(fnmatch.translate(glob) for glob in globs)).match


def _names(globs: Sequence[str], module: str | None) -> Callable[[str], bool]:
    """Whether one of the patterns matches; those with a colon are held against module:name."""
    plain = _matcher([glob for glob in globs if ":" not in glob])
    headed = _matcher([glob for glob in globs if ":" in glob])
    head = f"{module or 'vmlinux'}:"
    is_plain, is_headed = any(":" not in glob for glob in globs), any(":" in glob for glob in globs)
    return lambda name: bool(
        (is_plain and (plain is None or plain(name))) or (is_headed and headed is not None and headed(head + name))
    )


def _matching(judged: Judged, wanted: Wanted, untyped: list[int] | None = None) -> Iterator[Group]:
    """Groups reduced to the names that are wanted."""
    everything = _matcher(wanted.globs) is None and not wanted.without and not wanted.args and not wanted.returns
    typed = _Typed(judged.k, wanted) if wanted.args or wanted.returns else None
    for group in judged.groups():
        if everything:
            yield group
            continue
        match, unmatched = _names(wanted.globs, group.module), _names(wanted.without, group.module)
        kept = [at for at, name in enumerate(group.names) if match(name) and not unmatched(name)]
        if typed is not None:
            told = typed.fits(group.module)
            if untyped is not None:
                untyped[0] += sum(group.names[at] not in told for at in kept)
            kept = [at for at in kept if told.get(group.names[at])]
        if kept:
            yield Group(group.module, [group.names[at] for at in kept], [group.traits[at] for at in kept])


class _Typed:
    """Which functions have the types that are wanted, module by module."""

    def __init__(self, k: Kernel, wanted: Wanted) -> None:
        self._k, self._base = k, None
        self._args = [_c_type(text) for text in wanted.args]
        self._returns = _c_type(wanted.returns) if wanted.returns else ""

    def fits(self, module: str | None) -> dict[str, bool]:
        """Name to whether its prototype fits; names without a prototype are not in it."""
        from ..formats.btf import signature

        btf = self._k.btf(module)
        if btf is None:
            return {}
        known: dict[int, bool] = {}
        found = {}
        for name, parts in signature.table(btf).items():
            if id(parts) not in known:
                known[id(parts)] = self._fit(parts)
            found[name] = known[id(parts)]
        return found

    def _fit(self, parts: tuple[tuple[str, str, int], ...]) -> bool:
        types = [_c_type(text) for _, text, _ in parts]
        return all(one in types[1:] for one in self._args) and (not self._returns or types[0] == self._returns)


def _c_type(text: str) -> str:
    """A type with one way to write it: no const or volatile, one blank in front of the stars."""
    words = text.replace("*", " * ").split()
    return " ".join(word for word in words if word not in ("const", "volatile")).replace("* *", "**")


class Judged:
    """Functions by owner, each with a key of its answers; `answers` tells those of a key."""

    def __init__(self, k: Kernel, types: Sequence[str]) -> None:
        self.k = k
        self.answers: Callable[[Any], tuple[dict[str, str], dict[str, str]]] = Sweep(
            k, types or default_types()
        ).answers

    def groups(self) -> Iterator[Group]:
        """All functions; `traits` are the keys."""
        return groups(self.k)


def rows(judged: Judged, wanted: Wanted, answer: str | None, untyped: list[int] | None = None) -> Iterator[ScanRow]:
    """One row for each function that is wanted; `untyped[0]` counts those that no type is known of."""
    for group in _matching(judged, wanted, untyped):
        for name, key in zip(group.names, group.traits, strict=True):
            answers, errno = judged.answers(key)
            if answer is None or answer in answers.values():
                yield ScanRow(name, group.module, answers, errno)


def ndjson(judged: Judged, wanted: Wanted, answer: str | None) -> Iterator[bytes]:
    """The same rows as ready lines: `{"target":…,"module":…,"answers":{…},"errno":{…}}`."""
    import json

    texts: dict[object, bytes | None] = {}
    for group in _matching(judged, wanted):
        head = b'","module":' + json.dumps(group.module).encode() + b","
        tails: dict[int, bytes | None] = {}
        for key in {id(t): t for t in group.traits}.values():
            if key not in texts:
                answers, errno = judged.answers(key)
                text = json.dumps({"answers": answers, "errno": errno}, separators=(",", ":"))
                texts[key] = None if answer is not None and answer not in answers.values() else text[1:].encode()
            known = texts[key]
            tails[id(key)] = None if known is None else head + known + b"\n"
        for name, key in zip(_quoted(group.names), group.traits, strict=True):
            tail = tails[id(key)]
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
    if k.unread(facts.KALLSYMS) is None:
        found.append(k.partial_gap(facts.KALLSYMS) or k.unproved())
    return tuple(u for u in found if u is not None)
