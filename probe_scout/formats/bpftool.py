"""Read what `bpftool -j perf show`, `link show`, `net show` and `prog show` print, which people save and mail.

Shapes: tools/bpf/bpftool/perf.c (print_perf_json, print_perf_plain), link.c (show_link_close_json), net.c (do_show),
prog.c (print_prog_json). Success is one array of objects; a refusal is an object with `error`, bare or inside an array.
Where a flow dissector is attached, `net show` prints a name into an array, which is no JSON; that is mended. Of
`perf show` the plain text is read as well. Rows come as the dicts of sources/bpf_objects.py, so that both are
read by the same code; what bpftool leaves out, or prints as the zero of a kernel that did not tell, is None.
"""

from __future__ import annotations

import re

from ..errors import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]

PERF, LINK, PROG = "tool/bpftool-perf.json", "tool/bpftool-link.json", "tool/bpftool-prog.json"
NET, PERF_TEXT = "tool/bpftool-net.json", "tool/bpftool-perf.txt"
# A record begins with its number of a process; that of a type that bpftool does not know has no line end.
_RECORD = re.compile(rb"pid (\d+)  fd (\d+): prog_id (\d+)  (.*?)(?=\n|pid \d+  fd \d+: prog_id |\Z)")
_PLACES = (
    re.compile(r"(raw_tracepoint|tracepoint)  (\S+)\s*$"),
    re.compile(r"(kprobe|kretprobe)  func (\S+)  offset (\d+)\s*$"),
    re.compile(r"(kprobe|kretprobe)  addr (\d+)\s*$"),
    re.compile(r"(uprobe|uretprobe)  filename (.+)  offset (\d+)\s*$"),
)
_DISSECTOR = re.compile(rb'("flow_dissector":\s*\[\s*)"id":\s*(\d+)')


class Output:
    """One saved output: `rows` as bpftool printed them, or the sentence of its refusal in `error`."""

    __slots__ = ("error", "rows")

    def __init__(self, rows: list[Row], error: str) -> None:
        self.rows, self.error = rows, error


def output(raw: bytes, path: str) -> Output:
    """The objects of one output. Raises Malformed for anything but an array of objects or an error."""
    import json

    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as mistake:
        raise Malformed(path, getattr(mistake, "pos", 0), "one JSON document of bpftool") from None
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Malformed(path, 0, "an array of objects, or an object with error")
    error = next((str(one["error"]) for one in found if "error" in one), "")
    return Output([one for one in found if "error" not in one], error)


def perf(raw: bytes, path: str = PERF) -> tuple[list[Row], str]:
    """`perf show`, JSON or plain text: descriptors that carry a program. `type` is "" where bpftool did not know it."""
    if raw.lstrip()[:1] in (b"[", b"{"):
        said = output(raw, path)
        return [_perf_row(one, path) for one in said.rows], said.error
    return perf_text(raw, path)


def perf_text(raw: bytes, path: str = PERF_TEXT) -> tuple[list[Row], str]:
    """The plain text of `perf show`; nothing is printed where nothing is attached. Raises Malformed for other text."""
    found, at = [], 0
    for match in _RECORD.finditer(raw):
        if raw[at : match.start()].strip():
            break
        at = match.end()
        pid, fd, prog_id = (int(match[n]) for n in (1, 2, 3))
        place = _place(match[4].decode("utf-8", "surrogateescape"))
        found.append({"pid": pid, "fd": fd, "prog_id": prog_id, **place})
    rest = raw[at:].lstrip()
    if rest.startswith(b"Error: "):
        return found, rest[7:].partition(b"\n")[0].decode("utf-8", "replace")
    if rest or (not found and path.endswith(".json")):
        raise Malformed(path, len(raw) - len(rest), "what bpftool perf show prints", repr(rest[:40]))
    return found, ""


def _place(text: str) -> Row:
    for pattern in _PLACES:
        match = pattern.match(text)
        if match and match.re is _PLACES[2]:
            return {"type": match[1], "name": "", "offset": 0, "address": int(match[2]) or None}
        if match:
            offset = int(match[3]) if match.re.groups > 2 else 0
            return {"type": match[1], "name": match[2], "offset": offset, "address": None}
    return {"type": "", "name": "", "offset": 0, "address": None}


def _perf_row(one: Row, path: str) -> Row:
    kind = one.get("fd_type", "")
    name = one.get("tracepoint", one.get("func", one.get("filename", "")))
    return {
        "pid": _number(one, "pid", path),
        "fd": _number(one, "fd", path),
        "prog_id": _number(one, "prog_id", path),
        "type": str(kind),
        "name": str(name),
        "offset": _number(one, "offset", path, 0),
        "address": one.get("addr") or None,
    }


def links(raw: bytes, path: str = LINK) -> tuple[list[Row], str]:
    """`link show`: links with what this bpftool printed of them."""
    said = output(raw, path)
    return [_link_row(one, path) for one in said.rows], said.error


def _link_row(one: Row, path: str) -> Row:
    found: Row = {
        "id": _number(one, "id", path),
        "type": _kind(one.get("type")),
        "prog_id": _number(one, "prog_id", path, 0) or None,
        "cookie": one.get("cookie"),
    }
    for key in ("tp_name", "cgroup_id", "netns_ino", "ifindex", "map_id", "target_name", "missed", "path"):
        if key in one:
            found[key] = one[key]
    for key in ("target_obj_id", "target_btf_id"):
        found[key] = one.get(key) or None  # a zero is what a kernel that does not tell leaves
    if one.get("attach_type") is not None:
        found["attach_type"] = _kind(one["attach_type"])
    functions = one.get("funcs")
    if found["type"] in ("kprobe_multi", "uprobe_multi"):
        found["is_return"] = one.get("retprobe")
        found["count"] = one.get("func_cnt") or None
    if found["type"] == "kprobe_multi" and isinstance(functions, list):
        found["functions"] = [
            [each.get("func"), each.get("module"), each.get("cookie")] for each in functions if isinstance(each, dict)
        ]
    if found["type"] == "uprobe_multi" and isinstance(functions, list):
        found["offsets"] = [each.get("offset") for each in functions if isinstance(each, dict)]
        found["cookies"] = [each.get("cookie") for each in functions if isinstance(each, dict)]
    if found["type"] == "netfilter" and "pf" in one:
        numbers = {key: _number(one, key, path, 0) for key in ("pf", "hook")}
        found.update(numbers, priority=one.get("prio", 0), flags=0)
    if found["type"] == "perf_event":
        found.update(_perf_details(one))
    return found


def _kind(value: object) -> str:
    """A type's name; `type_N` for one that this bpftool printed as a number, bare or behind the word type."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"type_{value}"
    head, _, number = str(value).partition(" ")
    return f"type_{number}" if head == "type" and number.isdigit() else str(value)


def _perf_details(one: Row) -> Row:
    """The kind of a perf link by the keys that bpftool printed; nothing where it printed none (before 7.3)."""
    if "tracepoint" in one:
        return {"perf_type": "tracepoint", "name": one["tracepoint"]}
    if "file" in one:
        kind = "uretprobe" if one.get("retprobe") else "uprobe"
        return {"perf_type": kind, "name": one["file"], "offset": one.get("offset", 0)}
    if "func" in one:
        kind = "kretprobe" if one.get("retprobe") else "kprobe"
        about = {"perf_type": kind, "name": one["func"], "offset": one.get("offset", 0)}
        return {**about, "address": one.get("addr") or None, "missed": one.get("missed")}
    return {"perf_type": None}


def net(raw: bytes, path: str = NET) -> tuple[Row, str]:
    """`net show`: `interfaces` as sources/netlink.py gives them, and `flow_dissector`, ids of programs.

    It is one network namespace, which is not told. Netfilter's links are left out: they are in `link show`.
    """
    said = output(_DISSECTOR.sub(rb'\1{"id":\2}', raw), path)
    found: dict[int, Row] = {}
    dissectors: list[int] = []

    def interface(one: Row) -> Row:
        number = _number(one, "ifindex", path)
        name = one.get("devname")
        made: Row = {"ifindex": number, "name": str(name) if name else f"ifindex {number}", "kind": None}
        return found.setdefault(number, {**made, "xdp": [], "tc": [], "hooks": []})

    for whole in said.rows:
        for one in _objects(whole, "xdp"):
            for each in _objects(one, "multi_attachments") or [one]:
                mode = _XDP_MODES.get(str(each.get("mode")), str(each.get("mode")))
                interface(one)["xdp"].append({"mode": mode, "prog_id": _number(each, "id", path)})
        for one in _objects(whole, "tc"):
            kind, _, hook = str(one.get("kind", "")).partition("/")
            number = _number(one, "prog_id" if "prog_id" in one else "id", path)
            if kind in ("tcx", "netkit"):
                interface(one)["hooks"].append({"attach_type": f"{kind}_{hook}", "prog_ids": [number]})
            else:
                place = {"hook": hook or f"qdisc {kind}", "kind": "filter", "prog_id": number}
                interface(one)["tc"].append({**place, "name": one.get("name")})
        dissectors += [_number(one, "id", path) for one in _objects(whole, "flow_dissector")]
    return {"interfaces": list(found.values()), "flow_dissector": dissectors}, said.error


_XDP_MODES = {"driver": "native", "generic": "generic", "offload": "offload"}


def _objects(one: Row, key: str) -> list[Row]:
    value = one.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def programs(raw: bytes, path: str = PROG) -> tuple[list[Row], str]:
    """`prog show`: loaded programs; `loaded_s` in seconds since 1970."""
    said = output(raw, path)
    return [_program_row(one, path) for one in said.rows], said.error


def _program_row(one: Row, path: str) -> Row:
    return {
        "id": _number(one, "id", path),
        "type": _kind(one.get("type", "")),
        "name": str(one.get("name", "")),
        "tag": str(one.get("tag", "")),
        "loaded_ns": None,
        "loaded_s": one.get("loaded_at"),
        "uid": one.get("uid"),
        "maps": one.get("map_ids", []),
        "btf_id": one.get("btf_id"),
        "run_time_ns": one.get("run_time_ns"),
        "run_count": one.get("run_cnt"),
        "recursion_misses": one.get("recursion_misses"),
        "attach_btf_obj_id": None,
        "attach_btf_id": None,
    }


def _number(one: Row, key: str, path: str, default: int | None = None) -> int:
    value = one.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Malformed(path, 0, f"a number as {key}", repr(value)[:40])
    return value
