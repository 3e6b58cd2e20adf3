"""The inputs of an audit as types: the one reader and the one writer of `tool/audit.json`.

What this machine tells (sources/bpf/attached.py), what bpftool printed (formats/bpftool.py) and what a snapshot kept
come as one document of plain values, schema probe-scout/audit-inputs/1. `read` checks every value that an audit looks
at, so that the rest of `audit` deals with types; a document may come from other hands.
"""

from __future__ import annotations

from ...errors import Malformed, Unread
from ...named_tuple import NamedTuple
from ...sources.bpf import PATH as PATH
from ...sources.bpf import SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    Document = dict[str, Any]

    _Row = TypeVar("_Row", bound=tuple[Any, ...])

Numbers = tuple[int, ...]
Gaps = tuple[int | None, ...]  # of each place of a link; None where it is not told
_NONE: dict[str, Any] = {}


class Program(NamedTuple):
    """struct bpf_prog_info. None: this kernel does not tell."""

    id: int
    type: str = ""
    name: str | None = ""
    tag: str | None = ""
    loaded_ns: int | None = None  # since boot
    loaded_s: float | None = None  # since 1970, as bpftool prints it
    uid: int | None = None
    maps: Numbers | None = None
    btf_id: int | None = None
    run_time_ns: int | None = None
    run_count: int | None = None
    recursion_misses: int | None = None
    attach_btf_obj_id: int | None = None
    attach_btf_id: int | None = None


class Link(NamedTuple):
    """struct bpf_link_info: what the link's type tells; None for all else, and where this kernel does not tell."""

    id: int
    type: str
    prog_id: int | None = None
    attach_type: str | None = None
    cookie: int | None = None
    missed: int | None = None
    by_fdinfo: bool | None = None
    # raw_tracepoint, iter
    tp_name: str | None = None
    target_name: str | None = None
    # tracing, tracing_multi
    target_obj_id: int | None = None
    target_btf_id: int | None = None
    btf_obj_id: int | None = None
    btf_ids: Numbers | None = None
    # cgroup, netns, xdp, tcx, netkit, struct_ops, sockmap
    cgroup_id: int | None = None
    netns_ino: int | None = None
    ifindex: int | None = None
    map_id: int | None = None
    # perf_event
    perf_type: str | None = None
    name: str | None = None
    offset: int | None = None
    address: int | None = None
    event_type: int | None = None
    config: int | None = None
    # kprobe_multi, uprobe_multi
    is_return: bool | None = None
    addresses: Numbers | None = None
    cookies: Gaps | None = None
    path: str | None = None
    offsets: Gaps | None = None
    functions: tuple[tuple[str | None, str | None, int | None], ...] | None = None  # name, module, cookie: bpftool's
    # netfilter
    pf: int | None = None
    hook: int | None = None
    priority: int | None = None


class PerfEvent(NamedTuple):
    """A descriptor of a perf event or raw tracepoint that carries a program. `file`: equal for one open file."""

    pid: int
    fd: int
    prog_id: int
    type: str
    name: str
    offset: int
    address: int | None = None
    file: int | None = None


class PlainEvent(NamedTuple):
    """A descriptor of a software or hardware event that carries a program, which is not told."""

    pid: int
    fd: int
    file: int | None = None


class Holder(NamedTuple):
    """A descriptor of a program, link or map."""

    pid: int
    fd: int
    kind: str
    id: int


class Pin(NamedTuple):
    path: str
    kind: str
    id: int


class Map(NamedTuple):
    """struct bpf_map_info; of struct_ops maps `state` and `words`, numbers that may be ids of programs."""

    id: int
    name: str | None = ""
    value_type_id: int | None = None
    state: int | None = None
    words: Numbers | None = None


class Btf(NamedTuple):
    name: str
    is_kernels: bool


class Process(NamedTuple):
    """Who holds a descriptor; None for what may not be read."""

    pid: int | None = None
    comm: str | None = None
    exe: str | None = None
    exe_deleted: bool | None = None
    cgroup: str | None = None
    container: str | None = None
    mnt: str | None = None
    root: str | None = None
    cmdline: str | None = None
    uid: int | None = None
    user: str | None = None


class CodePlace(NamedTuple):
    """What lies at an offset. `is_start`: an instruction begins there; `is_outside`: between two functions.

    `refused` and `misread` are words of arch/x86_uprobe.py for the instruction in the file; "" where it is neither.
    """

    is_code: bool | None = None
    symbol: str | None = None
    offset: int | None = None
    is_start: bool | None = None
    is_outside: bool | None = None
    refused: str | None = None
    misread: str | None = None


class UserFile(NamedTuple):
    """A file that uprobes are on. `state`: there, gone, denied, no_elf. `places` by offset."""

    state: str
    changed_s: float | None = None
    is_go: bool | None = None
    places: dict[str, CodePlace] = _NONE


class OnHook:
    """Programs of one hook, by BPF_PROG_QUERY. A link's program is taken out of `prog_ids` when its row is made."""

    __slots__ = ("attach_type", "number", "path", "prog_ids")

    def __init__(self, number: int | None, attach_type: str, prog_ids: Numbers, path: str = "") -> None:
        """`number`: the cgroup's, map's or network namespace's."""
        self.number, self.attach_type, self.prog_ids, self.path = number, attach_type, list(prog_ids), path

    def take(self, number: int | None, attach_type: str | None, prog_id: int | None) -> bool:
        """Whether the program is on this hook; it is then used."""
        if (self.number, self.attach_type) != (number, attach_type) or prog_id not in self.prog_ids:
            return False
        self.prog_ids.remove(prog_id)
        return True


class Xdp(NamedTuple):
    mode: str | None
    prog_id: int | None


class TrafficControl(NamedTuple):
    kind: str
    hook: str | None
    prog_id: int


class Interface(NamedTuple):
    """A network interface with its programs; entries of `xdp` and `hooks` that a link explains are taken out."""

    ifindex: int
    name: str
    xdp: list[Xdp]
    tc: tuple[TrafficControl, ...]
    hooks: tuple[OnHook, ...]


class Namespace(NamedTuple):
    """A network namespace; `ino` None where it is not told which."""

    ino: int | None
    interfaces: tuple[Interface, ...]


class Inputs(NamedTuple):
    """All of it. `net` is None where interfaces were not looked at, `symbols` where addresses are addresses."""

    programs: tuple[Program, ...] = ()
    links: tuple[Link, ...] = ()
    maps: tuple[Map, ...] = ()
    perf: tuple[PerfEvent, ...] = ()
    events: tuple[PlainEvent, ...] = ()
    holders: tuple[Holder, ...] = ()
    pins: tuple[Pin, ...] = ()
    gaps: tuple[Unread, ...] = ()
    btfs: dict[str, Btf] = _NONE
    processes: dict[str, Process] = _NONE
    files: dict[str, UserFile] = _NONE
    cgroups: tuple[OnHook, ...] = ()
    cgroup_paths: dict[str, str] = _NONE
    sockmaps: tuple[OnHook, ...] = ()
    netns: tuple[OnHook, ...] = ()
    net: tuple[Namespace, ...] | None = None
    network_namespaces: dict[str, str] = _NONE
    symbols: dict[int, tuple[str, str | None, int]] | None = None
    pmus: dict[str, str] = _NONE
    enabled_events: dict[str, bool] = _NONE
    livepatches: tuple[tuple[str | None, str, str], ...] = ()
    # Program to what it expects: [shape, struct, text] of each argument (formats/btf/program.py).
    arguments: dict[str, list[list[str | None]]] = _NONE
    # (where, what only bpftool has, what it lacks), by --bpftool.
    bpftool: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = ()
    now_s: float | None = None
    boot_ns: int | None = None
    stats_enabled: bool | None = None
    boot: str | None = None

    def loaded_s(self, program: Program) -> float | None:
        """When a program was loaded, in seconds since 1970; None where that is not told."""
        if program.loaded_s is not None:
            return float(program.loaded_s)
        if not program.loaded_ns or self.now_s is None or self.boot_ns is None:
            return None
        return float(self.now_s - (self.boot_ns - program.loaded_ns) / 1e9)


def write(document: Document) -> bytes:
    """The file of a snapshot."""
    import json

    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def parse(raw: bytes) -> Document:
    """The document of a snapshot's file. Raises Malformed for what is no such document; `read` checks its values."""
    import json

    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Malformed(PATH, getattr(error, "pos", 0), "one JSON document") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise Malformed(PATH, 0, SCHEMA)
    return found


def read(document: Document) -> Inputs:
    """The types of a document. Raises Malformed with the place of a value that is none of its field's type."""
    d = document
    return Inputs(
        programs=_rows(Program, d, "programs"),
        links=read_links(_list(d, "links")),
        maps=_rows(Map, d, "maps"),
        perf=read_perf(_list(d, "perf")),
        events=_rows(PlainEvent, d, "events"),
        holders=read_holders(_list(d, "holders")),
        pins=_rows(Pin, d, "pins"),
        gaps=_rows(Unread, d, "gaps"),
        btfs=_named(Btf, d, "btfs"),
        processes=_named(Process, d, "processes"),
        files={name: _file(one, name) for name, one in _dict(d, "files").items()},
        cgroups=_hooks(d, "cgroups", "cgroup_id"),
        cgroup_paths=_texts(d, "cgroup_paths"),
        sockmaps=_hooks(d, "sockmaps", "map_id"),
        netns=_hooks(d, "netns", "ino"),
        net=tuple(_namespace(one) for one in _list(d, "net")) if "net" in d else None,
        network_namespaces=_texts(d, "network_namespaces"),
        symbols=_symbols(d),
        pmus=_texts(d, "pmus"),
        enabled_events={name: _is(_flag, value, name) for name, value in _dict(d, "enabled_events").items()},
        livepatches=tuple(
            _tuple(one, (_or_none(_text), _text, _text), "livepatches") for one in _list(d, "livepatches")
        ),
        arguments={name: _arguments(value, name) for name, value in _dict(d, "arguments").items()},
        bpftool=tuple(
            _tuple(one, (_text, _all(_text), _all(_text)), "bpftool") for one in _list(_dict(d, "bpftool"), "findings")
        ),
        now_s=_is(_or_none(_real), d.get("now_s"), "now_s"),
        boot_ns=_is(_or_none(_number), d.get("boot_ns"), "boot_ns"),
        stats_enabled=_is(_or_none(_flag), d.get("stats_enabled"), "stats_enabled"),
        boot=_is(_or_none(_text), d.get("boot"), "boot"),
    )


def read_links(rows: Iterable[Any]) -> tuple[Link, ...]:
    """Links of a document, or of bpftool's rows."""
    return tuple(_row(Link, one, "links") for one in rows)


def read_perf(rows: Iterable[Any]) -> tuple[PerfEvent, ...]:
    """Perf events of a document, or of bpftool's rows."""
    return tuple(_row(PerfEvent, one, "perf") for one in rows)


def read_holders(rows: Iterable[Any]) -> tuple[Holder, ...]:
    """Holders of a document: lists of pid, fd, kind and id."""
    return tuple(Holder(*_tuple(one, (_number, _number, _text, _number), "holders")) for one in rows)


# ---------------------------------------------------------------- checks


class _Wrong(Exception):
    """A value is not of its field's type."""


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong
    return value


def _real(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _Wrong
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong
    return value


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _all(check: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def every(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise _Wrong
        return tuple([check(one) for one in value])

    return every


def _function(value: Any) -> tuple[Any, ...]:
    made: tuple[Any, ...] = _tuple(value, (_or_none(_text), _or_none(_text), _or_none(_number)), "functions")
    return made


_PATCHED = (_or_none(_text), _text, _text)  # module, function, patch
# By the annotation of a field, which this module keeps as text.
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "int": _number,
    "float": _real,
    "str": _text,
    "bool": _flag,
    "Numbers": _all(_number),
    "Gaps": _all(_or_none(_number)),
    "tuple[tuple[str | None, str | None, int | None], ...]": _all(_function),
}
_FIELDS: dict[type, list[tuple[str, Callable[[Any], Any], bool]]] = {}


def _fields(kind: Any) -> list[tuple[str, Callable[[Any], Any], bool]]:
    """Name, check and whether it must be there, of each field of a row."""
    if kind not in _FIELDS:
        found = []
        for name in kind._fields:
            stated = kind.__annotations__[name]
            words = stated if isinstance(stated, str) else getattr(stated, "__forward_arg__", None) or stated.__name__
            plain = words.removesuffix(" | None")
            check = _CHECKS[plain]
            found.append((name, check if plain == words else _or_none(check), name not in kind._field_defaults))
        _FIELDS[kind] = found
    return _FIELDS[kind]


def _row(kind: type[_Row], value: Any, where: str) -> _Row:
    if not isinstance(value, dict):
        raise _malformed(where, value)
    made: dict[str, Any] = {}
    for name, check, is_needed in _fields(kind):
        if name in value or is_needed:
            made[name] = _is(check, value.get(name), f"{where}: {name}")
    return kind(**made)


def _is(check: Callable[[Any], Any], value: Any, where: str) -> Any:
    try:
        return check(value)
    except _Wrong:
        raise _malformed(where, value) from None


def _malformed(where: str, value: Any) -> Malformed:
    return Malformed(PATH, 0, "the inputs of an audit", f"{where} is {value!r}"[:200])


def _tuple(value: Any, checks: tuple[Callable[[Any], Any], ...], where: str) -> Any:
    if not isinstance(value, (list, tuple)) or len(value) != len(checks):
        raise _malformed(where, value)
    return tuple(_is(check, one, where) for check, one in zip(checks, value, strict=True))


def _list(document: Document, key: str) -> list[Any]:
    value = document.get(key, [])
    if not isinstance(value, (list, tuple)):
        raise _malformed(key, value)
    return list(value)


def _dict(document: Document, key: str) -> dict[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise _malformed(key, value)
    return value


def _rows(kind: type[_Row], document: Document, key: str) -> tuple[_Row, ...]:
    return tuple(_row(kind, one, key) for one in _list(document, key))


def _named(kind: type[_Row], document: Document, key: str) -> dict[str, _Row]:
    return {name: _row(kind, one, f"{key} {name}") for name, one in _dict(document, key).items()}


def _texts(document: Document, key: str) -> dict[str, str]:
    return {name: _is(_text, value, f"{key} {name}") for name, value in _dict(document, key).items()}


def _file(value: Any, name: str) -> UserFile:
    where = f"files {name}"
    if not isinstance(value, dict):
        raise _malformed(where, value)
    return UserFile(
        _is(_text, value.get("state"), f"{where}: state"),
        _is(_or_none(_real), value.get("changed_s"), f"{where}: changed_s"),
        _is(_or_none(_flag), value.get("is_go"), f"{where}: is_go"),
        _named(CodePlace, value, "places"),
    )


def _hooks(document: Document, key: str, number: str) -> tuple[OnHook, ...]:
    found = []
    for one in _list(document, key):
        if not isinstance(one, dict):
            raise _malformed(key, one)
        found.append(_hook(one, key, number))
    return tuple(found)


def _hook(one: Document, key: str, number: str) -> OnHook:
    return OnHook(
        _is(_or_none(_number), one.get(number), f"{key}: {number}"),
        _is(_text, one.get("attach_type"), f"{key}: attach_type"),
        _is(_all(_number), one.get("prog_ids"), f"{key}: prog_ids"),
        _is(_text, one.get("path", ""), f"{key}: path"),
    )


def _namespace(value: Any) -> Namespace:
    if not isinstance(value, dict):
        raise _malformed("net", value)
    ino = _is(_or_none(_number), value.get("ino"), "net: ino")
    return Namespace(ino, tuple(_interface(one) for one in _list(value, "interfaces")))


def _interface(value: Any) -> Interface:
    if not isinstance(value, dict):
        raise _malformed("interfaces", value)
    return Interface(
        _is(_number, value.get("ifindex"), "interfaces: ifindex"),
        _is(_text, value.get("name"), "interfaces: name"),
        list(_rows(Xdp, value, "xdp")),
        _rows(TrafficControl, value, "tc"),
        _hooks(value, "hooks", "ino"),
    )


def _symbols(document: Document) -> dict[int, tuple[str, str | None, int]] | None:
    if document.get("symbols") is None:
        return None
    found = {}
    for number, one in _dict(document, "symbols").items():
        if not number.isdigit():
            raise _malformed("symbols", number)
        found[int(number)] = _tuple(one, (_text, _or_none(_text), _number), "symbols")
    return found


def _arguments(value: Any, name: str) -> list[list[str | None]]:
    return [list(one) for one in _is(_all(_all(_or_none(_text))), value, f"arguments {name}")]
