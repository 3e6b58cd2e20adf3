"""Read what `bpftool -j perf show`, `link show` and `prog show` print, which people save and mail.

Shapes: tools/bpf/bpftool/perf.c (print_perf_json), link.c (show_link_close_json), prog.c (print_prog_json). Success is
one array of objects; a refusal is an object with `error`, bare or inside an array. Rows come as the dicts of
sources/bpf_objects.py, so that both are read by the same code; what bpftool leaves out, or prints as the zero of a
kernel that did not tell, is None.
"""

from __future__ import annotations

from typing import Any

from ..errors import Malformed

PERF, LINK, PROG = "tool/bpftool-perf.json", "tool/bpftool-link.json", "tool/bpftool-prog.json"

Row = dict[str, Any]


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
    """`perf show`: descriptors that carry a program; those of a kind that bpftool did not know are left out."""
    said = output(raw, path)
    return [row for one in said.rows if (row := _perf_row(one, path)) is not None], said.error


def _perf_row(one: Row, path: str) -> Row | None:
    kind = one.get("fd_type")
    if kind is None:
        return None
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
    kind = one.get("type")
    found: Row = {
        "id": _number(one, "id", path),
        "type": f"type_{kind}" if isinstance(kind, int) else str(kind),
        "prog_id": _number(one, "prog_id", path, 0) or None,
        "cookie": one.get("cookie"),
    }
    for key in ("tp_name", "cgroup_id", "netns_ino", "ifindex", "map_id", "target_name", "missed", "path"):
        if key in one:
            found[key] = one[key]
    for key in ("target_obj_id", "target_btf_id"):
        found[key] = one.get(key) or None  # a zero is what a kernel that does not tell leaves
    if isinstance(one.get("attach_type"), str):
        found["attach_type"] = one["attach_type"]
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
    if found["type"] == "netfilter":
        found.update(pf=one.get("pf", 0), hook=one.get("hook", 0), priority=one.get("prio", 0), flags=0)
    if found["type"] == "perf_event":
        found.update(_perf_details(one))
    return found


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


def programs(raw: bytes, path: str = PROG) -> tuple[list[Row], str]:
    """`prog show`: loaded programs; `loaded_s` in seconds since 1970."""
    said = output(raw, path)
    return [_program_row(one, path) for one in said.rows], said.error


def _program_row(one: Row, path: str) -> Row:
    kind = one.get("type", "")
    return {
        "id": _number(one, "id", path),
        "type": f"type_{kind}" if isinstance(kind, int) else str(kind),
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
