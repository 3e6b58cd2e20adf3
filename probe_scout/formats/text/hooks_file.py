"""`probe-scout.toml`, and plain lists of hooks: bytes in, a HookSet out, one sentence for what is wrong.

kernels = ["snapshots/*.tar.xz", "live"]

[[hook]]
name = "exec"                                     # unique; the first rung where it is left out
source = "bpf/exec.bpf.c:12"                      # where an annotation shall stand
ladder = ["fentry/do_execve", "kprobe/do_execve"] # attach points, the best first
need = "must"                                     # must | may
coverage = "any"                                  # any | partial | complete
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import UsageError
from ...model.hooks import COVERAGES, MUST, NEEDS, Hook, HookSet
from ...model.target import read

BYTES_MAX = 4 << 20
HOOKS_MAX = 5000
_RUNGS_MAX = 64
_NAME_MAX = 200  # characters of a hook's name
_SOURCE_MAX = 4096  # PATH_MAX of include/uapi/linux/limits.h
_KEYS = ("name", "source", "ladder", "need", "coverage")
_TOP = ("hook", "kernels")


def read_toml(data: bytes, where: str) -> HookSet:
    """The hooks of a probe-scout.toml. `where` names the file in sentences. Raises UsageError."""
    import tomllib

    try:
        top = tomllib.loads(_text(data, where))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{where}: not a list of hooks: nested too deep") from None
    _known(top, _TOP, where)
    kernels = _texts(top.get("kernels", []), f"{where}: kernels", "paths")
    tables = top.get("hook", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: hook is not a list of tables: write [[hook]] before each")
    if not tables:
        raise UsageError(f"{where}: it holds no hook: write [[hook]] and below it ladder = [ATTACH POINTS]")
    if len(tables) > HOOKS_MAX:
        raise UsageError(f"{where}: {len(tables)} hooks, more than {HOOKS_MAX}")
    return HookSet(
        _unique([_hook(table, number, where) for number, table in enumerate(tables, 1)], where), kernels, where
    )


def read_list(data: bytes, where: str) -> HookSet:
    """Hooks out of a plain list: a target, or a ladder of several with blanks between, in each line.

    # begins a comment; repeated lines count once. Raises UsageError.
    """
    found: dict[tuple[str, ...], None] = {}
    for number, line in enumerate(_text(data, where).splitlines(), 1):
        words = tuple(dict.fromkeys(line.partition("#")[0].split()))
        for word in words:
            _rung(word, f"{where}, line {number}")
        if len(words) > _RUNGS_MAX:
            raise UsageError(f"{where}, line {number}: {len(words)} attach points, more than {_RUNGS_MAX}")
        if words:
            found[words] = None
    if not found:
        raise UsageError(f"{where}: the list holds no hook")
    if len(found) > HOOKS_MAX:
        raise UsageError(f"{where}: {len(found)} hooks, more than {HOOKS_MAX}")
    firsts = [words[0] for words in found]
    return HookSet(
        tuple(Hook(words[0] if firsts.count(words[0]) == 1 else " ".join(words), words) for words in found), (), where
    )


def _text(data: bytes, where: str) -> str:
    if len(data) > BYTES_MAX:
        raise UsageError(f"{where}: larger than {BYTES_MAX >> 20} MB, not a list of hooks")
    if b"\0" in data:
        raise UsageError(f"{where}: not a list of hooks, it holds NUL bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: not UTF-8 at byte {error.start}") from None


def _hook(table: dict[str, object], number: int, where: str) -> Hook:
    ladder = table.get("ladder")
    name = table.get("name")
    place = f"{where}: hook {number}"
    if isinstance(name, str) and name:
        place = f"{where}: hook {name[:60]!r}"
    _known(table, _KEYS, place)
    if ladder is None:
        raise UsageError(f'{place} has no ladder: write ladder = ["fentry/vfs_read"]')
    rungs = _texts([ladder] if isinstance(ladder, str) else ladder, f"{place}: ladder", "attach points")
    if not rungs:
        raise UsageError(f"{place}: its ladder is empty")
    if len(rungs) > _RUNGS_MAX:
        raise UsageError(f"{place}: {len(rungs)} attach points, more than {_RUNGS_MAX}")
    for rung in rungs:
        _rung(rung, place)
    return Hook(
        _word(table, "name", rungs[0], place, lambda text: 0 < len(text) <= _NAME_MAX, f"1 to {_NAME_MAX} characters"),
        rungs,
        _word(table, "source", "", place, lambda text: len(text) <= _SOURCE_MAX, "FILE or FILE:LINE"),
        _word(table, "need", MUST, place, NEEDS.__contains__, " or ".join(NEEDS)),
        _word(table, "coverage", "any", place, COVERAGES.__contains__, ", ".join(COVERAGES)),
    )


def _rung(text: str, place: str) -> None:
    """Raises UsageError for what is no single target."""
    try:
        asked = read(text)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    if asked.target.is_glob:
        raise UsageError(f"{place}: {text[:60]!r} is a pattern: a hook lists single attach points")


def _word(
    table: dict[str, object], key: str, default: str, place: str, is_good: Callable[[str], bool], form: str
) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value.isprintable() or not is_good(value):
        raise UsageError(f"{place}: {key} = {str(value)[:60]!r} is not {form}")
    return value


def _texts(value: object, place: str, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise UsageError(f"{place} is not a list of {what}")
    return tuple(dict.fromkeys(value))


def _known(table: dict[str, object], keys: tuple[str, ...], place: str) -> None:
    """Raises UsageError for the first key that does not exist: a misspelt `coverage` must not pass as not given."""
    for key in table:
        if key not in keys:
            import difflib

            near = difflib.get_close_matches(key, keys, 1, 0.5)
            hint = f"did you mean {near[0]}" if near else f"choose from {' '.join(keys)}"
            raise UsageError(f"{place}: {key[:60]!r} is not a key here: {hint}")


def _unique(hooks: list[Hook], where: str) -> tuple[Hook, ...]:
    seen: set[str] = set()
    for hook in hooks:
        if hook.name in seen:
            raise UsageError(f"{where}: two hooks have the name {hook.name[:60]!r}: give each its own")
        seen.add(hook.name)
    return tuple(hooks)
