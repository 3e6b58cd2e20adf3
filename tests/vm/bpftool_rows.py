"""Rows of `bpftool -j perf|link|net show` against those of `audit`, and where bpftool says less or something else.

The shapes are those of bpftool 7.1 to 7.8; which of them say what is in tools/bpf/bpftool/{perf,link,net}.c.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from typing import Any

Found = dict[str, Any]

PERF = {
    "raw_tracepoint": ("raw_tp", "raw_tp.w", "tp_btf"),  # bpftool does not tell the typed from the raw
    "tracepoint": ("tp",),
    "kprobe": ("kprobe",),
    "kretprobe": ("kretprobe",),
    "uprobe": ("uprobe",),
    "uretprobe": ("uretprobe",),
}
# The link types by their numbers, as an older bpftool prints them.
LINK_NUMBERS = {
    "type 10": "netfilter",
    "type 11": "tcx",
    "type 12": "uprobe_multi",
    "type 13": "netkit",
    "type 14": "sockmap",
    "type 15": "tracing_multi",
}
FLOW_DISSECTOR = re.compile(r'"flow_dissector":\["id":')


def read(text: str) -> tuple[Any, bool]:
    """The JSON, and whether it was valid: net.c writes a named field into an array where a flow dissector is."""
    try:
        return json.loads(text), True
    except ValueError:
        return json.loads(re.sub(r'("flow_dissector":\[)"id":(\d+)', r'\1{"id":\2}', text)), False


def perf(rows: list[Found], attachments: list[Found]) -> list[str]:
    """Sentences about rows of `perf show` that the audit has not, or has otherwise."""
    found = []
    by_holder = {(owner["pid"], owner["fd"]): one for one in attachments for owner in one["owners"]}
    for row in rows:
        holder = (row["pid"], row["fd"])
        one = by_holder.get(holder)
        if one is None:
            found.append(f"perf {row}: no owner {holder}")
            continue
        if one["prog"]["id"] != row["prog_id"]:
            found.append(f"perf {row}: program {one['prog']['id']}")
        if one["attach"] not in PERF[row["fd_type"]]:
            found.append(f"perf {row}: {one['attach']}")
        target = one["target"] or ""
        if row["fd_type"] == "tracepoint":  # the kernel does not say the group
            target = target.rpartition(":")[2]
        said = row.get("func") or row.get("filename") or row.get("tracepoint")
        if said is not None and target != said:
            found.append(f"perf {row}: target {one['target']}")
        if said is not None and "offset" in row and (one["offset"] or 0) != row["offset"]:
            found.append(f"perf {row}: offset {one['offset']}")
    return found


def link(rows: list[Found], attachments: list[Found]) -> list[str]:
    """Sentences about rows of `link show` that the audit has not, or has otherwise; and the other way round."""
    found = []
    by_id = {one["link"]["id"]: one for one in attachments if one["link"] is not None}
    for number in sorted(set(by_id) ^ {row["id"] for row in rows}):
        found.append(f"link {number} is {'not ' * (number not in by_id)}in audit")
    for row in rows:
        one = by_id.get(row["id"])
        if one is None:
            continue
        kind = row["type"] if isinstance(row["type"], str) else f"type {row['type']}"
        if LINK_NUMBERS.get(kind, kind) != one["link"]["type"]:
            found.append(f"link {row}: {one['link']}")
        if (row.get("prog_id") or None) != (one["prog"] and one["prog"]["id"]):
            found.append(f"link {row}: program {one['prog']}")
        if "tp_name" in row and one["target"] != row["tp_name"]:
            found.append(f"link {row}: target {one['target']}")
    return found


def net(document: Any, attachments: list[Found]) -> list[str]:
    """Sentences about programs of `net show` that the audit has on no interface of that name."""
    found = []
    here = {
        (one["attach"], one["target"], one["prog"]["id"])
        for one in attachments
        if one["prog"] is not None and one["attach"] in ("xdp", "tc", "tcx", "netkit", "netfilter", "flow_dissector")
    }
    for group, attach in (("xdp", "xdp"), ("tc", "tc")):
        for row in document[0].get(group, ()):
            kind = {"tcx/ingress": "tcx", "tcx/egress": "tcx", "netkit/primary": "netkit", "netkit/peer": "netkit"}
            name = kind.get(row.get("kind", ""), attach)
            number = row.get("id", row.get("prog_id"))
            if (name, row["devname"], number) not in here:
                found.append(f"net {row}")
    return found


def prog(rows: list[Found], document: Found) -> list[str]:
    """Sentences about programs of `prog show` that the audit has not, or has otherwise."""
    found = []
    ours = {one["prog"]["id"]: one["prog"] for one in (*document["attachments"], *document["loaded"]) if one["prog"]}
    ours |= {each["id"]: each for one in document["attachments"] for each in one["programs"]}
    for number in sorted(set(ours) ^ {row["id"] for row in rows}):
        found.append(f"program {number} is {'not ' * (number not in ours)}in audit")
    for row in rows:
        one = ours.get(row["id"])
        if one is None:
            continue
        kind = row["type"] if isinstance(row["type"], str) else f"type {row['type']}"
        wanted = {
            "type": PROGRAM_NUMBERS.get(kind, kind),
            "name": row.get("name", ""),
            "tag": row["tag"],
            "uid": row["uid"],
            "maps": row.get("map_ids", []),
        }
        for key, value in wanted.items():
            if one[key] != value:
                found.append(f"program {row['id']}: {key} {one[key]!r}, bpftool {value!r}")
        loaded = calendar.timegm(time.strptime(one["loaded"], "%Y-%m-%dT%H:%M:%SZ"))
        if abs(loaded - row["loaded_at"]) > 1:
            found.append(f"program {row['id']}: loaded {loaded}, bpftool {row['loaded_at']}")
        runs = row.get("run_cnt")  # printed where there are any; asked later, so there may be more by then
        if runs is None and one["run_count"]:
            found.append(f"program {row['id']}: {one['run_count']} runs, bpftool tells none")
        if runs is not None and (one["run_count"] is None or one["run_count"] > runs):
            found.append(f"program {row['id']}: {one['run_count']} runs, bpftool {runs}")
    return found


PROGRAM_NUMBERS = {"type 31": "syscall", "type 32": "netfilter"}
