"""Does a probe see what it should: verdicts, limits and dangers row by row beside what five kernels' probes saw.

The recorded programs are not here. For single places their bytes are in the rows; for situations a program of ours has
a function of the same kind (tests/builders/situations.py).
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from probe_scout.arch import x86_uprobe
from tests.builders import programs
from tests.builders.situations import SOURCE

from .test_rules import ERRNO, KERNELS, TRUTH, kernels  # noqa: F401  # a fixture

RECORDED = Path(__file__).parent / "recorded"
ALL, SOME, NONE, MORE, BREAKS = "all", "some", "none", "more", "breaks"
_TYPES = ("uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "uprobe.session")
_BREAKING = ("hazard.uretprobe_start", "hazard.uretprobe_offset", "hazard.uprobe_syscall", "hazard.uretprobe_backtrace")
# Calls of the function in the recorded run, where they are not ten.
CALLS = {"rec": 100, "forker": 5, "vforkee": 5, "neverret": 1, "a_int3": 0, "a_ud2": 0}


class Row(NamedTuple):
    """One recorded line."""

    kernel: str
    place: str
    type: str
    errno: int
    calls: int
    hits: int
    same: bool | None
    sig: int


def rows() -> list[Row]:
    """Every situation that is no USDT probe: of the truth where it lies beside the repository, else our share of it."""
    path = TRUTH / "situations.jsonl.gz"
    own = RECORDED / "situations.jsonl.gz"
    found = []
    for line in gzip.open(path if path.is_file() else own, "rt"):
        row = json.loads(line)
        if row["file"] == "usdt":
            continue
        place = row["place"]
        kernel = ".".join(row["kernel"].split(".")[:2])
        calls = CALLS.get(row["workload"], 10)
        found.append(Row(kernel, place, row["type"], row["errno"], calls, row["hits"], row["same_result"], row["sig"]))
    return found


def seen(row: Row) -> str:
    """What the kernel's probe did, in one word."""
    if row.errno:
        return f"errno {row.errno}"
    if row.sig or row.same is False:
        return BREAKS
    calls = row.calls * (2 if row.type == "uprobe.session" else 1)
    if row.hits == calls:
        return ALL
    return NONE if not row.hits else SOME if row.hits < calls else MORE


PLACES = (
    *(
        "plain",
        "rec",
        "tailer",
        "callee",
        "jumper",
        "outer",
        "exiter",
        "bt",
        "forker",
        "vforkee",
        "ifn",
        "impl_a",
        "use1",
    ),
    *(
        "inl_out",
        "neverret",
        "a_lock",
        "a_repmovs",
        "a_nop5",
        "a_nop10",
        "a_csnop",
        "a_endbr",
        "a_mid",
        "a_ret",
        "a_call",
    ),
    *("a_riprel", "a_loop", "a_loopinsn", "a_evex", "a_tail", "a_fallthrough", "a_mid+1", "a_mid+5", "a_repmovs_in"),
    *(
        "a_loop_in",
        "a_loopinsn_in",
        "a_fellinto",
        "a_call_in",
        "a_notrack",
        "a_notrack_in",
        "a_syscall_in",
        "a_pushret_in",
    ),
)


def told(report, attach: str) -> set[str]:
    """What the report says of one attach type: the words that a kernel's answer may have."""
    (verdict,) = (v for v in report.verdicts if v.attach == attach)
    if verdict.answer == "no":
        return {f"errno {ERRNO[verdict.errno]}"}
    effects = {limit.effect for limit in report.limits if attach in limit.types}
    returns = attach.startswith("uretprobe") or attach == "uprobe.session"
    if any(h.id in _BREAKING and (returns or h.id == "hazard.uprobe_syscall") for h in report.hazards):
        # A danger is told where the program may break: what the word on top of the stack is decides, at run time.
        return {BREAKS, NONE, SOME, MORE if "more" in effects else ALL}
    if "corrupts" in effects:
        return {BREAKS, NONE}
    if "never" in effects:
        ids = {limit.id for limit in report.limits if limit.effect == "never" and attach in limit.types}
        return {SOME} if ids == {"limit.uprobe_ifunc"} else {NONE}  # an IFUNC's resolver runs once
    if "more" in effects:
        return {MORE}
    return {SOME, NONE} if _partial(report, attach) else {ALL}  # how many of the calls are missed is the program's


def _partial(report, attach: str) -> bool:
    """Some of the function's calls or returns are missed; a place inside is judged by its own executions."""
    passing = ("limit.uprobe_offset", "limit.uretprobe_tail_call")
    return any(
        limit.effect == "partial" and attach in limit.types and limit.id not in passing for limit in report.limits
    )


@pytest.fixture(scope="module")
def asked(kernels, tmp_path_factory):  # noqa: F811
    """(kernel, place) to report, each made once."""
    from probe_scout.probes.user import report

    folder = tmp_path_factory.mktemp("situations")
    programs.compiled(folder, "sit", SOURCE, "-O1", "-fcf-protection=none", "-lpthread")
    for k in kernels.values():
        shutil.copy(folder / "sit", Path(k.source.describe().where) / "sit")
    made = {}

    def ask(kernel: str, place: str):
        if (kernel, place) not in made:
            (made[kernel, place],) = report.reports(kernels[kernel], f"/sit:{place}", _TYPES)
        return made[kernel, place]

    return ask


def test_situations(asked):
    """Every row: the errno, and whether the probe saw all calls, some, none, more, or broke the program."""
    found = rows()
    wrong: dict[tuple[str, str, str, str], int] = {}
    equal = 0
    for row in found:
        said = told(asked(row.kernel, row.place), row.type)
        what = seen(row)
        if (not row.calls and not row.hits) or what in said:  # without calls the place is never executed
            equal += 1
        else:
            key = (row.place, row.type, what, "/".join(sorted(said)))
            wrong[key] = wrong.get(key, 0) + 1
    assert wrong == {}, f"{equal} equal of {len(found)}"
    assert equal == len(found) >= 90


def test_single_places():
    """Hits beside executions by single steps: a refused place has none, every other as many as it was executed."""
    path = TRUTH / "fires.jsonl.gz"
    own = RECORDED / "fires.jsonl.gz"
    edition = x86_uprobe.Edition(apx=True, invalid64=True, xop=True, nop10=False, nops=False)  # of the kernel asked
    wrong, counts = [], {"full": 0, "bound": 0, "refused": 0, "broken": 0, "start": 0}
    for line in gzip.open(path if path.is_file() else own, "rt"):
        row = json.loads(line)
        here = x86_uprobe.analyze(bytes.fromhex(row["bytes"]), True, edition, 4096 - row["offset"] % 4096)
        hits, executed = row["hits"], row["executed"]
        if here.refused:
            counts["refused"] += 1
            right = hits == 0
        elif "note" in row:  # the run died of another probe of the same batch
            counts["broken"] += 1
            right = not row["same_output"]
        elif row["place"] == "_start" and row["type"] == "uretprobe":  # limit.uretprobe_no_return
            counts["start"] += 1
            right = hits == 0
        elif "executed_is" in row:
            counts["bound"] += 1
            right = hits >= executed
        else:
            counts["full"] += 1
            right = hits == executed
        if not right:
            wrong.append(line[:200])
    assert not wrong
    assert counts["full"] > 40
    assert counts["refused"] > 5


def test_static_probes(kernels):  # noqa: F811
    """USDT: an odd reference counter is refused; without one a guarded site is mute, and every other fires."""
    from probe_scout.model.traits import UserTraits
    from probe_scout.probes.user.report import of_traits

    path = TRUTH / "situations.jsonl.gz"
    asked = 0
    for line in gzip.open(path if path.is_file() else RECORDED / "situations.jsonl.gz", "rt"):
        row = json.loads(line)
        if row["file"] != "usdt":
            continue
        asked += 1
        kernel = kernels[".".join(row["kernel"].split(".")[:2])]
        odd = bool(row["ref_ctr_offset"] & 1)
        verdict = of_traits(kernel, UserTraits(counter_odd=odd), row["type"])
        assert ERRNO[verdict.errno] == row["errno"], line
        is_mute = odd or (row["place"] == "prov:guarded" and not row["ref_ctr_offset"])  # limit.usdt_semaphore
        assert row["hits"] == (0 if is_mute else 10), line
    assert asked >= 5
