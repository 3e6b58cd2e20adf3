"""What a command line asks for, as one value; and the road that reads common lines without typer.

`read_fast` accepts the everyday `check` line and nothing that it does not wholly understand. For
every line it accepts, typer (app.py) must build the same Request; tests/cli/test_same_request.py
holds the two together. This module is imported before anything else: keep it to builtins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import UsageError

FORMATS = ("table", "json", "ndjson", "csv", "md", "grid")
COLORS = ("auto", "always", "never")
ANSWERS = ("yes", "no", "unknown")
KINDS = ("functions", "events")
SHELLS = ("bash", "zsh", "fish")
LEVELS = ("note", "warning", "broken")
PID_MAX = 1 << 22  # PID_MAX_LIMIT


class Request(NamedTuple):
    """One command with its arguments, converted and checked. Fields a command does not have keep their default."""

    command: str
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    root: str = ""
    format: str = "table"
    color: str = "auto"
    as_me: bool = False
    vmlinux: str = ""
    answer: str = ""
    out: str = ""
    with_code: bool = False
    keep_addresses: bool = False
    dry: bool = False
    limit: int = 0
    kinds: tuple[str, ...] = ()
    whole: bool = False
    reads: tuple[tuple[int, int], ...] = ()
    fields: bool = False
    lang: str = "c"
    attach: str = ""
    core: bool = False
    program: bool = False
    debug: str = ""
    classes: tuple[str, ...] = ()
    owner: int = 0
    target: str = ""
    net: str = "auto"
    old: str = ""
    fail_on: str = ""
    watch: int = 0


def one_of(value: str, choices: Sequence[str], option: str) -> str:
    """The value itself. Raises UsageError that lists the choices when it is none of them."""
    if value not in choices:
        raise UsageError(f"{option} {value!r} is not known: choose {', '.join(choices[:-1])} or {choices[-1]}")
    return value


def count(value: str, option: str, most: int = 999999) -> int:
    """A number above 0. Raises UsageError for anything else."""
    if not (value.isascii() and value.isdigit() and len(value) <= 7 and 0 < int(value) <= most):
        raise UsageError(f"{option} {value!r} is not a number from 1 to {most}")
    return int(value)


def _net(is_wanted: bool, is_unwanted: bool) -> str:
    if is_wanted and is_unwanted:
        raise UsageError("--net and --no-net exclude each other")
    return "yes" if is_wanted else "no" if is_unwanted else "auto"


def loads(values: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """(offset, size) of each OFFSET:SIZE, bytes, decimal or 0x. Raises UsageError for what is no load of BPF."""
    found = []
    for value in values:
        offset, colon, size = value.partition(":")
        digits = offset[2:] if offset[:2] in ("0x", "0X") else offset
        is_hex = digits != offset and digits and not set(digits.lower()) - set("0123456789abcdef")
        if not colon or not (is_hex or (digits.isascii() and digits.isdigit())) or len(digits) > 9:
            raise UsageError(f"--reads {value!r} is not OFFSET:SIZE, such as 24:4")
        if size not in ("1", "2", "4", "8"):
            raise UsageError(f"--reads {value!r}: a load has 1, 2, 4 or 8 bytes")
        found.append((int(digits, 16 if is_hex else 10), int(size)))
    return tuple(found)


def attach_types(values: Sequence[str]) -> tuple[str, ...]:
    """Attach types from `--type` values, each one name or several with commas; order kept, repeats dropped.

    Raises UsageError that names the nearest attach types for a misspelt one.
    """
    from ..model.attach import ATTACH_TYPES

    found: dict[str, None] = {}
    for value in values:
        for name in value.split(","):
            name = name.strip()
            if name not in ATTACH_TYPES:
                raise UsageError(f"--type {name!r} is not an attach type: {_nearest(name, tuple(ATTACH_TYPES))}")
            found[name] = None
    return tuple(found)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    import difflib  # only on the way to an error

    near = difflib.get_close_matches(name, known, 4, 0.5)
    return f"did you mean {' or '.join(near)}" if near else f"choose from {' '.join(known)}"


def _language(value: str) -> str:
    if not value:
        return "c"
    from ..model.stub import LANGUAGES

    return one_of(value, LANGUAGES, "--lang")


def _stub_attach(value: str) -> str:
    if not value:
        return ""
    from ..model.stub import STUB_ATTACH

    return one_of(value, STUB_ATTACH, "--attach")


def _classes(values: Sequence[str]) -> tuple[str, ...]:
    """Classes of inlining, each one name or several with commas. Raises UsageError for one that does not exist."""
    if not values:
        return ()
    from ..dwarf.classes import CLASSES

    names = [name.strip() for value in values for name in value.split(",")]
    return tuple(dict.fromkeys(one_of(name, CLASSES, "--class") for name in names))


def build(
    command: str,
    *,
    names: Sequence[str] = (),
    types: Sequence[str] = (),
    root: str = "",
    json: bool = False,
    format: str = "",
    color: str = "auto",
    as_me: bool = False,
    vmlinux: str = "",
    answer: str = "",
    out: str = "",
    with_code: bool = False,
    keep_addresses: bool = False,
    dry: bool = False,
    limit: str = "",
    kinds: Sequence[str] = (),
    whole: bool = False,
    reads: Sequence[str] = (),
    fields: bool = False,
    lang: str = "",
    attach: str = "",
    core: bool = False,
    program: bool = False,
    debug: str = "",
    classes: Sequence[str] = (),
    owner: str = "",
    target: str = "",
    net: bool = False,
    no_net: bool = False,
    old: str = "",
    fail_on: str = "",
    watch: str = "",
) -> Request:
    """A Request from raw strings and flags. The only place where they are converted. Raises UsageError."""
    if json and format not in ("", "json"):
        raise UsageError(f"--json and --format {format} exclude each other")
    return Request(
        command,
        tuple(names),
        attach_types(types),
        root,
        "json" if json else one_of(format or "table", FORMATS, "--format"),
        one_of(color, COLORS, "--color"),
        as_me,
        vmlinux,
        one_of(answer, ANSWERS, "--answer") if answer else "",
        out,
        with_code,
        keep_addresses,
        dry,
        count(limit, "--limit") if limit else 0,
        tuple(dict.fromkeys(one_of(kind, KINDS, "--kind") for kind in kinds)),
        whole,
        reads=loads(reads),
        fields=fields,
        lang=_language(lang),
        attach=_stub_attach(attach),
        core=core,
        program=program,
        debug=debug,
        classes=_classes(classes),
        owner=count(owner, "--owner", PID_MAX) if owner else 0,
        target=target,
        net=_net(net, no_net),
        old=old,
        fail_on=one_of(fail_on, LEVELS, "--fail-on") if fail_on else "",
        watch=count(watch, "--watch") if watch else 0,
    )


def _tracepoint(words: Iterator[str]) -> Request | None:
    """`tracepoint [GLOB] [known options]`, as `read_fast`."""
    names: list[str] = []
    reads: list[str] = []
    flags: dict[str, bool] = {}
    values: dict[str, str] = {}
    for word in words:
        if not word:
            return None
        if word[0] != "-":
            names.append(word)
            continue
        if word in ("--json", "--fields"):
            flags[word] = True
            continue
        option, equals, value = word.partition("=")
        if option not in ("--root", "--format", "--color", "--reads"):
            return None
        if not equals:
            value = next(words, "")
        if not value or value[0] == "-":
            return None
        if option == "--reads":
            reads.append(value)
        else:
            values[option] = value
    if len(names) > 1:
        return None
    return build(
        "tracepoint",
        names=names or ["*"],
        root=values.get("--root", ""),
        json="--json" in flags,
        format=values.get("--format", ""),
        color=values.get("--color", "auto"),
        fields="--fields" in flags,
        reads=reads,
    )


_AUDIT_FLAGS = {"--json": "json", "--net": "net", "--no-net": "no_net"}
_AUDIT_VALUES = {
    "--root": "root",
    "--format": "format",
    "--color": "color",
    "--owner": "owner",
    "--target": "target",
    "--diff": "old",
    "--fail-on": "fail_on",
    "--watch": "watch",
}


def _audit(words: Iterator[str]) -> Request | None:
    """`audit [known options]`, as `read_fast`."""
    flags: dict[str, bool] = {}
    values: dict[str, str] = {}
    for word in words:
        if word in _AUDIT_FLAGS:
            flags[_AUDIT_FLAGS[word]] = True
            continue
        option, equals, value = word.partition("=")
        if option not in _AUDIT_VALUES:
            return None
        if not equals:
            value = next(words, "")
        if not value or value[0] == "-":
            return None
        values[_AUDIT_VALUES[option]] = value
    return build(
        "audit",
        root=values.get("root", ""),
        json="json" in flags,
        format=values.get("format", ""),
        color=values.get("color", "auto"),
        owner=values.get("owner", ""),
        target=values.get("target", ""),
        net="net" in flags,
        no_net="no_net" in flags,
        old=values.get("old", ""),
        fail_on=values.get("fail_on", ""),
        watch=values.get("watch", ""),
    )


_FLAGS = {"--json": "json", "--as-me": "as_me"}
_VALUES = {
    "--root": "root",
    "--format": "format",
    "--color": "color",
    "--vmlinux": "vmlinux",
    "--debug": "debug",
}


def read_fast(args: Sequence[str]) -> Request | None:
    """The Request of `check NAME… [known options]`, `tracepoint` and `inline NAME`; None for all other lines.

    Those are typer's.

    Declines rather than decides: anything that starts with a dash and is not a known option or its
    value, an empty word, and a missing value are all left to typer, and so are its error messages.
    Raises UsageError where `build` does.
    """
    if args and args[0] == "audit":
        return _audit(iter(args[1:]))
    if args and args[0] == "tracepoint":
        return _tracepoint(iter(args[1:]))
    if len(args) < 2 or args[0] not in ("check", "inline"):
        return None
    is_check = args[0] == "check"
    names: list[str] = []
    types: list[str] = []
    flags: dict[str, bool] = {}
    values: dict[str, str] = {}
    words = iter(args[1:])
    for word in words:
        if not word:
            return None
        if word[0] != "-":
            names.append(word)
            continue
        if word in _FLAGS and (is_check or word == "--json"):
            flags[_FLAGS[word]] = True
            continue
        option, equals, value = word.partition("=")
        if option not in _VALUES and (option != "--type" or not is_check):
            return None
        if option == "--vmlinux" and not is_check:
            return None
        if not equals:
            value = next(words, "")
        if not value or value[0] == "-":
            return None
        if option == "--type":
            types.append(value)
        else:
            values[_VALUES[option]] = value
    if not names or (not is_check and len(names) > 1):
        return None
    return build(
        args[0],
        names=names,
        types=types,
        root=values.get("root", ""),
        json="json" in flags,
        format=values.get("format", ""),
        color=values.get("color", "auto"),
        as_me="as_me" in flags,
        vmlinux=values.get("vmlinux", ""),
        debug=values.get("debug", ""),
    )
