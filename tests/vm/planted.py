"""What the holder planted (bpf/audit) against what `audit --json` said: missing, doubled, invented, wrong.

Rows are the holder's, by construction; nothing here knows how the tool finds an attachment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The kinds' first word is the attach type, but for these.
ATTACH = {
    "software": "perf_event",
    "hardware": "perf_event",
    "cgroup": "cgroup",
    "elsewhere/xdp": "xdp",
    "elsewhere/tc": "tc",
    "elsewhere/tcx": "tcx",
    "named/xdp": "xdp",
    "flow": "flow_dissector",
    "owners": "raw_tp",
    "uprobe.multi/bx": "uprobe.multi",
}
UNSEEN = "unseen"
TARGET, LOADED = "target", "loaded"
# What no kernel tells: whether a program on many functions also runs on return (struct bpf_link_info has a flag for
# return alone), where a program set on a software event by ioctl is (BPF_TASK_FD_QUERY: EOPNOTSUPP), and whose
# descriptor a perf event without a program is behind a kprobe.
UNTOLD_ATTACH = {"kprobe.session": "kprobe.multi", "uprobe.session": "uprobe.multi"}
UNTOLD_TARGET = {"software/ioctl": None}
UNTOLD_OWNERS = ("kprobe/perf-only",)
# Findings that are known by construction: rows have those that `finds=` names and no other of these.
FINDS = frozenset(
    (
        *(
            "symbol_ambiguous",
            "never_returns",
            "two_owners",
            "trampoline_full",
            "arguments_differ",
            "deleted_executable",
        ),
        *("orphaned", "target_gone", "file_deleted", "file_replaced", "no_function", "inside_instruction", "go_return"),
        *("symbol_gone", "missed", "livepatched", "direct_call", "ftrace_off", "kprobes_off"),
    )
)


class Row(NamedTuple):
    """One line of the holder. None stands for `-`; `facts` are the note's words with `=`."""

    kind: str
    target: str | None
    offset: int | None
    module: str | None
    prog: int | None
    name: str | None
    link: int | None
    owners: tuple[int, ...]
    pin: str | None
    facts: dict[str, str]

    @property
    def attach(self) -> str:
        first = self.kind.partition("/")[0]
        return ATTACH.get(self.kind) or ATTACH.get(first) or first


class Judged(NamedTuple):
    """Each a list of sentences; all empty where the audit is right."""

    missing: list[str]
    doubled: list[str]
    invented: list[str]
    wrong: list[str]


def rows(lines: Iterable[str]) -> list[Row]:
    """The planted rows of the holder's lines."""
    found = []
    for line in lines:
        word, *fields = line.split("\t")
        if word != "planted":
            continue
        kind, target, offset, module, prog, name, link, owners, pin, note = (
            None if field == "-" else field for field in fields
        )
        facts = dict(one.split("=", 1) for one in (note or "").split() if "=" in one)
        numbers = [None if text is None else int(text) for text in (offset, prog, link)]
        pids = tuple(sorted(int(one) for one in (owners or "").split(",") if one))
        found.append(Row(kind or "", target, numbers[0], module, numbers[1], name, numbers[2], pids, pin, facts))
    return found


def lacking(lines: Iterable[str]) -> dict[str, str]:
    """Kind to errno, of what the kernel refused."""
    return {fields[1]: fields[2] for fields in (line.split("\t") for line in lines) if fields[0] == "lacks"}


def programs_of(row: Row) -> list[int]:
    """Of struct_ops, whose members are programs."""
    return [int(one) for one in row.facts.get("programs", "").split(",") if one]


def matches(row: Row, one: dict[str, Any]) -> bool:
    """Whether the audit's row is about this attachment: by ids, and by names where there is no program."""
    link, prog = one["link"], one["prog"]
    if row.link is not None:
        return link is not None and link["id"] == row.link
    if row.prog is not None:
        return link is None and prog is not None and prog["id"] == row.prog
    if programs_of(row):
        return link is None and sorted(each["id"] for each in one.get("programs", ())) == sorted(programs_of(row))
    if prog is not None or link is not None or one["attach"] != row.attach:
        return False
    if "event" in row.facts:
        return one.get("event") == row.facts["event"]
    return one["target"] == row.target


def judge(
    planted: Sequence[Row], document: dict[str, Any], with_net: bool = True, untold: dict[str, str] | None = None
) -> Judged:
    """Every planted attachment must be there once and right, and nothing else.

    `with_net`: interfaces were looked at. `untold`: kinds of which this kernel does not tell the TARGET (a
    kprobe may then be there a second time as one of kprobes/list that nobody owns), or that there is an attachment:
    then the program must be among the LOADED.
    """
    untold = untold or {}
    judged = Judged([], [], [], [])
    left = list(document["attachments"])
    loaded = list(document.get("loaded", ()))
    for row in planted:
        if row.kind.startswith(UNSEEN) or untold.get(row.kind) == LOADED:
            found = [one for one in loaded if one["prog"]["id"] == row.prog]
            loaded = [one for one in loaded if one["prog"]["id"] != row.prog]
            judged.missing.extend([f"{row.kind}: not in loaded"] * (not found))
            judged.doubled.extend([f"{row.kind}: {len(found)} in loaded"] * (len(found) > 1))
            judged.wrong.extend(f"{row.kind}: {text}" for one in found for text in _about_holders(row, one))
            continue
        found = [one for one in left if matches(row, one)]
        if not found:
            if with_net or not is_on_an_interface(row):
                judged.missing.append(f"{row.kind} {row.target}: prog {row.prog}, link {row.link}")
            continue
        left = [one for one in left if one is not found[0]]
        judged.wrong.extend(f"{row.kind}: {text}" for text in differences(row, found[0], untold.get(row.kind)))
    for row in planted:
        for one in [one for one in left if matches(row, one)]:
            judged.doubled.append(f"{row.kind} {row.target}: {_short(one)}")
            left = [other for other in left if other is not one]
    silent = {row.target for row in planted if untold.get(row.kind) == TARGET}
    left = [one for one in left if one["seen_by"] != ["kprobes"] or one["target"] not in silent]
    judged.invented.extend(str(_short(one)) for one in left)
    members = {each for row in planted for each in programs_of(row)}
    unexplained = [one for one in loaded if with_net or one["prog"]["id"] not in {row.prog for row in planted}]
    judged.invented.extend(
        f"loaded {one['prog']['id']} {one['prog']['name']}" for one in unexplained if one["prog"]["id"] not in members
    )
    judged.invented.extend(f"loaded {one['prog']['id']}, a member" for one in loaded if one["prog"]["id"] in members)
    return judged


def is_on_an_interface(row: Row) -> bool:
    """Only netlink and queries of interfaces tell these."""
    return row.link is None and row.attach in ("xdp", "tc", "tcx", "netkit")


def _short(one: dict[str, Any]) -> tuple[Any, ...]:
    prog, link = one["prog"], one["link"]
    return (
        *(one["attach"], one["target"], prog and (prog["id"], prog["name"]), link and link["id"]),
        *(one.get("event"), one.get("seen_by")),
    )


def _about_holders(row: Row, one: dict[str, Any]) -> list[str]:
    found = []
    owners = tuple(sorted({owner["pid"] for owner in one["owners"]}))
    if owners != (() if row.kind in UNTOLD_OWNERS else row.owners):
        found.append(f"owners {owners}, planted {row.owners}")
    pins = one["pins"]
    if pins != ([row.pin] if row.pin else []):
        found.append(f"pins {pins}, planted {row.pin}")
    return found


def differences(row: Row, one: dict[str, Any], untold: str | None = None) -> list[str]:
    """Sentences about what is not as planted. What the kernel does not tell may be None."""
    found = _about_holders(row, one)
    if untold == TARGET and one["target"] is None:
        return found

    def same(what: str, said: Any, planted: Any) -> None:
        if said != planted:
            found.append(f"{what} {said!r}, planted {planted!r}")

    finds = {finding["check"].removeprefix("audit.") for finding in one.get("findings", ())} & FINDS
    if finds != {each for each in row.facts.get("finds", "").split(",") if each}:
        found.append(f"finds {sorted(finds)}, planted {row.facts.get('finds')}")
    same("attach", one["attach"], UNTOLD_ATTACH.get(row.attach, row.attach))
    if one["places"] and "functions" in row.facts:
        same("target", one["target"] in row.facts["functions"].split(","), True)
    else:
        same("target", one["target"], UNTOLD_TARGET.get(row.kind, target_of(row)))
    same("module", one["module"], row.module or row.facts.get("module"))
    if row.offset is not None and row.attach not in ("fentry", "fexit", "fsession", "fmod_ret", "lsm"):
        same("offset", one["offset"] or 0, row.offset)
    if row.prog is not None:
        same("program's name", one["prog"] and one["prog"]["name"], row.name)
    if programs_of(row):
        same("programs", sorted(each["id"] for each in one["programs"]), sorted(programs_of(row)))
    for fact, key in (("cookie", "cookie"), ("hook", "hook"), ("attach", "hook"), ("event", "event")):
        if fact in row.facts:
            said = one.get(key)
            if fact == "cookie" and said is None:
                continue  # a kernel that does not tell
            same(key, said, int(row.facts[fact], 0) if fact == "cookie" else row.facts[fact].replace("+", " "))
    if "symbol" in row.facts:
        symbol, _, plus = row.facts["symbol"].partition("+")
        same("symbol", (one["symbol"], one["symbol_offset"]), (symbol, int(plus or 0)))
    if "functions" in row.facts and one["places"]:
        same("functions", sorted(each["symbol"] for each in one["places"]), sorted(row.facts["functions"].split(",")))
    if "offsets" in row.facts and one["places"]:
        same(
            "functions", sorted(each["symbol"] or "" for each in one["places"]), sorted(row.facts["offsets"].split(","))
        )
    if "cookies" in row.facts and one["places"] and one["places"][0]["cookie"] is not None:
        planted = sorted(int(each, 0) for each in row.facts["cookies"].split(","))
        same("cookies", sorted(each["cookie"] for each in one["places"]), planted)
    if "netns" in row.facts and row.facts["netns"] == "holder":
        same("netns", one["netns"], "holder")
    return found


def target_of(row: Row) -> str | None:
    """The words for the target."""
    return row.facts.get("path") or row.target
