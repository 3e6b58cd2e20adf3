"""What a command line asks for, as one value; and the road that reads common lines without typer.

`read_fast` accepts everyday lines of some commands and nothing that it does not wholly understand. For
every line it accepts, typer (app.py) must build the same Request; tests/frontends/cli/test_same_request.py
holds the two together. This module is imported before anything else: keep it to builtins.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UsageError
from ...model.asked import attach_types, is_call, language, one_of, stub_attach, types_of
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMATS = ("table", "json", "ndjson", "csv", "md", "grid")
COLORS = ("auto", "always", "never")
ANSWERS = ("yes", "no", "unknown")
KINDS = ("functions", "events")
SHELLS = ("bash", "zsh", "fish")
MATRIX_FORMATS = (*FORMATS, "sarif", "junit", "github", "c", "rust", "go")
PAGES = ("matrix", "audit", "diff")
SORTS = ("name", "module")
COVERAGES = ("complete", "partial", "none", "unknown")
PARTS = ("host", "build")
LEVELS = ("note", "warning", "broken")
JOBS_MAX = 256
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
    allow: str = ""
    accept_unread: tuple[str, ...] = ()
    quiet: bool = False
    watch: int = 0
    bpftool: bool = False
    force: bool = False
    all_types: bool = False
    any_yes: bool = False
    names_from: str = ""
    roots: tuple[str, ...] = ()
    libbpf: str = ""
    user_files: tuple[str, ...] = ()
    only: str = ""
    package: str = ""
    name: str = ""
    outputs: tuple[tuple[str, str], ...] = ()
    store: str = ""
    jobs: int = 0
    requires: bool = False
    verbose: bool = False
    part: str = ""
    script: bool = False
    parquet: str = ""
    without: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    returns: str = ""
    sort: str = ""
    coverage: str = ""
    page: str = ""
    modules: str = ""
    caps: str = ""
    hooks: str = ""
    pid: int = 0


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


def _classes(values: Sequence[str]) -> tuple[str, ...]:
    """Classes of inlining, each one name or several with commas. Raises UsageError for one that does not exist."""
    if not values:
        return ()
    from ...formats.dwarf.classes import CLASSES

    names = [name.strip() for value in values for name in value.split(",")]
    return tuple(dict.fromkeys(one_of(name, CLASSES, "--class") for name in names))


def _outputs(values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(format, file) of each FORMAT=FILE. Raises UsageError for anything else, and for a file that is named twice."""
    found: dict[str, str] = {}
    for value in values:
        form, equals, path = value.partition("=")
        if not equals or not path:
            raise UsageError(f"--output {value!r} is not FORMAT=FILE, such as sarif=hooks.sarif")
        if path in found:
            raise UsageError(f"--output names {path!r} twice")
        found[path] = one_of(form, MATRIX_FORMATS, "--output")
    return tuple((form, path) for path, form in found.items())


def _facts(values: Sequence[str]) -> tuple[str, ...]:
    """Facts of an audit, each one name or several with commas. Raises UsageError for one that does not exist."""
    if not values:
        return ()
    from ...model.audit import FACTS

    names = [name.strip() for value in values for name in value.split(",")]
    return tuple(dict.fromkeys(one_of(name, FACTS, "--accept-unread") for name in names))


def _placed(names: Sequence[str], target: str, types: Sequence[str]) -> list[str]:
    """helper:NAME@TARGET of --target. Raises UsageError where something else than calls is asked."""
    if not all(is_call(name, types) for name in names):
        raise UsageError(
            "--target says where a program is that calls helper:NAME or call:NAME; other names are attach points"
        )
    return [f"{name}@{target}" for name in names]


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
    allow: str = "",
    accept_unread: Sequence[str] = (),
    quiet: bool = False,
    watch: str = "",
    bpftool: bool = False,
    force: bool = False,
    all_types: bool = False,
    any_yes: bool = False,
    names_from: str = "",
    roots: Sequence[str] = (),
    libbpf: str = "",
    user_files: Sequence[str] = (),
    only: str = "",
    package: str = "",
    name: str = "",
    outputs: Sequence[str] = (),
    store: str = "",
    jobs: str = "",
    requires: bool = False,
    verbose: bool = False,
    part: str = "",
    script: bool = False,
    parquet: str = "",
    without: Sequence[str] = (),
    args: Sequence[str] = (),
    returns: str = "",
    sort: str = "",
    coverage: str = "",
    page: str = "",
    modules: str = "",
    caps: str = "",
    unprivileged: bool = False,
    hooks: str = "",
    pid: str = "",
) -> Request:
    """A Request from raw strings and flags. The only place where they are converted. Raises UsageError."""
    if command == "check" and not names and not names_from:
        raise UsageError("missing argument 'NAME...'; see probe-scout check --help")
    if json and format not in ("", "json"):
        raise UsageError(f"--json and --format {format} exclude each other")
    if command == "check" and target:
        names = _placed(names, target, types)
        target = ""
    return Request(
        command,
        tuple(names),
        types_of(names, types) if command == "check" else attach_types(types),
        root,
        "json"
        if json
        else one_of(format or "table", MATRIX_FORMATS if command in ("matrix", "lint") else FORMATS, "--format"),
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
        lang=language(lang),
        attach=stub_attach(attach),
        core=core,
        program=program,
        debug=debug,
        classes=_classes(classes),
        owner=count(owner, "--owner", PID_MAX) if owner else 0,
        target=target,
        net=_net(net, no_net),
        old=old,
        fail_on=one_of(fail_on, LEVELS, "--fail-on") if fail_on else "",
        allow=allow,
        accept_unread=_facts(accept_unread),
        quiet=quiet,
        watch=count(watch, "--watch") if watch else 0,
        bpftool=bpftool,
        force=force,
        all_types=all_types,
        any_yes=any_yes,
        names_from=names_from,
        roots=tuple(roots),
        libbpf=libbpf,
        user_files=tuple(user_files),
        only=only,
        package=package,
        name=name,
        outputs=_outputs(outputs),
        store=store,
        jobs=count(jobs, "--jobs", JOBS_MAX) if jobs else 0,
        requires=requires,
        verbose=verbose,
        part=one_of(part, PARTS, "--part") if part else "",
        script=script,
        parquet=parquet,
        without=tuple(without),
        args=tuple(args),
        returns=returns,
        page=one_of(page, PAGES, "--page") if page else "",
        sort=one_of(sort, SORTS, "--sort") if sort else "",
        coverage=one_of(coverage, COVERAGES, "--coverage") if coverage else "",
        modules=modules,
        caps=_caps(caps, unprivileged, as_me),
        hooks=hooks,
        pid=count(pid, "--pid", PID_MAX) if pid else 0,
    )


def _caps(caps: str, unprivileged: bool, as_me: bool) -> str:
    """The caller that is supposed: capabilities, "none" or "token". Raises UsageError where two are asked for."""
    if bool(caps) + unprivileged + as_me > 1:
        raise UsageError("--caps, --unprivileged and --as-me exclude each other")
    return "none" if unprivileged else caps


class _Line(NamedTuple):
    """What the fast road knows of a command's line: options by the parameter of `build` that they fill."""

    values: dict[str, str]
    flags: dict[str, str]
    repeated: dict[str, str]
    names_least: int = 0
    names_most: int = 0
    default: tuple[str, ...] = ()


_MANY = 1 << 30
_VALUES = {"--root": "root", "--format": "format", "--color": "color"}
_MODULES = {**_VALUES, "--modules": "modules"}
_FLAGS = {"--json": "json"}
_TYPES = {"--type": "types"}
_CALLS = {**_MODULES, "--vmlinux": "vmlinux", "--caps": "caps"}
_CALLER = {**_FLAGS, "--unprivileged": "unprivileged"}
_LINES = {
    "check": _Line(
        {
            **_MODULES,
            "--vmlinux": "vmlinux",
            "--debug": "debug",
            "--from": "names_from",
            "--target": "target",
            "--pid": "pid",
            "--caps": "caps",
        },
        {
            **_FLAGS,
            "--as-me": "as_me",
            "--unprivileged": "unprivileged",
            "--all-types": "all_types",
            "--any": "any_yes",
            "-v": "verbose",
            "--verbose": "verbose",
            "--quiet": "quiet",
        },
        _TYPES,
        names_least=1,
        names_most=_MANY,
    ),
    "inline": _Line({**_MODULES, "--debug": "debug"}, _FLAGS, {}, names_least=1, names_most=1),
    "scan": _Line(
        {
            **_MODULES,
            "--answer": "answer",
            "--returns": "returns",
            "--sort": "sort",
            "--coverage": "coverage",
            "--limit": "limit",
            "--pid": "pid",
        },
        _FLAGS,
        {**_TYPES, "--not": "without", "--arg": "args"},
        names_most=_MANY,
        default=("*",),
    ),
    "tracepoint": _Line(_MODULES, {**_FLAGS, "--fields": "fields"}, {"--reads": "reads"}, names_most=1, default=("*",)),
    "stub": _Line(
        {**_MODULES, "--lang": "lang", "--attach": "attach", "--out": "out", "--package": "package", "--name": "name"},
        {**_FLAGS, "--core": "core", "--program": "program"},
        {},
        names_least=1,
        names_most=_MANY,
    ),
    "features": _Line(_CALLS, _CALLER, {}),
    "kfunc": _Line(_CALLS, _CALLER, _TYPES, names_most=1, default=("*",)),
    "context": _Line(_CALLS, _CALLER, _TYPES, names_least=1, names_most=1),
    "doctor": _Line({**_MODULES, "--for": "hooks"}, _FLAGS, {}),
    "lint": _Line(
        {"--modules": "modules", "--format": "format", "--color": "color", "--libbpf": "libbpf", "--program": "only"},
        {**_FLAGS, "--requires": "requires"},
        {"--root": "roots"},
        names_least=1,
        names_most=_MANY,
    ),
    "fleet": _Line(
        {
            "--format": "format",
            "--color": "color",
            "--modules": "modules",
            "--store": "store",
            "--answer": "answer",
            "--jobs": "jobs",
            "--parquet": "parquet",
        },
        _FLAGS,
        _TYPES,
        names_least=1,
        names_most=_MANY,
    ),
    "audit": _Line(
        {
            **_VALUES,
            "--owner": "owner",
            "--target": "target",
            "--diff": "old",
            "--fail-on": "fail_on",
            "--watch": "watch",
            "--allow": "allow",
        },
        {**_FLAGS, "--net": "net", "--no-net": "no_net", "--bpftool": "bpftool", "--quiet": "quiet"},
        {"--accept-unread": "accept_unread"},
    ),
}


# Options that may stand in front of the command: "probe-scout --root FILE check NAME".
LEADING_VALUES = ("--root", "--modules", "--format", "--color")
LEADING_FLAGS = ("--json",)


def command_first(args: Sequence[str]) -> list[str]:
    """The same line with the command in front of the options that stand before it.

    A line without a command, or with another option before it, is left as it is.
    """
    at = 0
    while at < len(args) and args[at][:1] == "-":
        option, equals, _ = args[at].partition("=")
        if option in LEADING_VALUES:
            at += 1 if equals else 2
        elif args[at] in LEADING_FLAGS:
            at += 1
        else:
            return list(args)
    return [args[at], *args[:at], *args[at + 1 :]] if 0 < at < len(args) else list(args)


def read_fast(args: Sequence[str]) -> Request | None:
    """The Request of an everyday line of a command in _LINES; None for all other lines, which are typer's.

    Declines rather than decides: anything that starts with a dash and is not a known option or its
    value, an empty word, a missing value and a wrong number of names are all left to typer, and so
    are its error messages. Raises UsageError where `build` does.
    """
    args = command_first(args)
    known = _LINES.get(args[0]) if args else None
    if known is None:
        return None
    names: list[str] = []
    given: dict[str, Any] = {}
    words = iter(args[1:])
    for word in words:
        if not word:
            return None
        if word[0] != "-":
            names.append(word)
            continue
        if word in known.flags:
            given[known.flags[word]] = True
            continue
        option, equals, value = word.partition("=")
        if option not in known.values and option not in known.repeated:
            return None
        if not equals:
            value = next(words, "")
        if not value or value[0] == "-":
            return None
        if option in known.repeated:
            given.setdefault(known.repeated[option], []).append(value)
        else:
            given[known.values[option]] = value
    if not known.names_least <= len(names) <= known.names_most:
        return None
    return build(args[0], names=names or known.default, **given)
