"""What the tool said in an environment against what the kernel said in it, to the same user in the same boot.

Reads the lines that guest/environments.py writes. The prober's `lookup` answers are no words of the kernel: the name
or the event's id could not be found by this user.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from . import asking
from .guest.environments import ENVIRONMENTS, questions

YES, NO, UNKNOWN = "yes", "no", "unknown"


class Compared(NamedTuple):
    """One environment. `wrong` and `errno_wrong` are sentences; `causes` counts why answers are unknown.

    `cold` are the answers for kprobes on every part that the compiler split off.
    `bare` are unknown answers without a cause, or without a cure where the file is closed.
    """

    name: str
    asked: int
    right: int
    wrong: tuple[str, ...]
    unknown: int
    errno_wrong: tuple[str, ...]
    causes: dict[str, int]
    bare: tuple[str, ...]
    notes: frozenset[str]
    doctor: tuple[str, ...]
    hazards: tuple[str, ...]
    fires: int | None
    cold: tuple[str, ...]
    seconds: tuple[float, ...]

    def row(self) -> str:
        """A row of the table in docs/testing.md."""
        return f"| {self.name} | {self.asked} | {self.right} | {len(self.wrong)} | {self.unknown} |"


def compare(line: dict[str, Any]) -> Compared:
    """Both answers to each question. Raises AskingFailed where one of the two did not come to its end."""
    name = line["environment"]
    if line["tool_status"]:
        raise asking.AskingFailed(f"{name}: the tool ended with {line['tool_status']}: {line['error']}")
    asked = questions(ENVIRONMENTS[name].targets)
    progress = asking.parse(line["prober"], len(asked))
    if not progress.ended:
        raise asking.AskingFailed(f"{name}: the prober stopped after {len(progress.answers)} answers")
    verdicts = line["tool"]["verdicts"]
    right = unknown = 0
    wrong, errno_wrong, bare = [], [], []
    causes: dict[str, int] = {}
    notes: set[str] = set()
    for number, (target, attach) in enumerate(asked):
        ours, theirs = verdicts[f"{target} {attach}"], progress.answers[number]
        notes.update(ours["notes"])
        said = f"{target} {attach}: {ours['answer']} {ours['errno']}, kernel {theirs.errno} at {theirs.stage}"
        if ours["answer"] == UNKNOWN:
            unknown += 1
            for fact, kind, why, cure in ours["unread"]:
                causes[f"{fact} {kind}: {why}; {cure}"] = causes.get(f"{fact} {kind}: {why}; {cure}", 0) + 1
            if not ours["unread"] or not all(unread[2] and unread[3] for unread in ours["unread"]):
                bare.append(said)
            continue
        if (ours["answer"] == YES) != (theirs.errno == "0"):
            wrong.append(f"{said} {theirs.message[:80]}")
            continue
        right += 1
        if ours["answer"] == NO and theirs.stage != "lookup" and ours["certain"] and ours["errno"] != theirs.errno:
            errno_wrong.append(f"{said} {theirs.message[:80]}")
    doctor = tuple(rule for rule, _ in line["tool"]["doctor"])
    hazards = tuple(line["tool"]["hazards"])
    return Compared(
        name,
        len(asked),
        right,
        tuple(wrong),
        unknown,
        tuple(errno_wrong),
        causes,
        tuple(bare),
        frozenset(notes),
        doctor,
        hazards,
        line["fires"],
        tuple(line["tool"].get("cold", ())),
        tuple(line["seconds"]),
    )


def read(text: str) -> tuple[dict[str, Compared], dict[str, list[str]]]:
    """The lines of one boot by the environment's name; and the environments that the kernel would not enter, with
    the commands that it refused."""
    lines = [json.loads(line) for line in text.splitlines()]
    refused = {line["environment"]: line["failed"] for line in lines if line["failed"]}
    found = [compare(line) for line in lines if not line["failed"]]
    return {one.name: one for one in found}, refused
