"""Inlined copies, asked for real in a booted 6.12.

It takes or refuses a kprobe at every place as `inline` predicts: `pytest -m vm tests/vm/test_inline.py` with
PROBE_SCOUT_DEBUG_VMLINUX, the vmlinux with debug information of the lab's 6.12. PROBE_SCOUT_COPIES says how many places
are asked (default 400), PROBE_SCOUT_SEED which.

And calls that a probe on the symbol of a `partial` function does not see are seen at its copies, whose places come from
the survey: programs count both while the guest is kept busy. PROBE_SCOUT_PARTIAL functions (default 240). With
PROBE_SCOUT_INLINE_KEPT, the counts are kept there.
"""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from probe_scout.frontends.session import open_kernel
from probe_scout.model.target import parse
from probe_scout.probes.attach.verdicts import verdicts
from probe_scout.probes.inlining import survey
from tests.conftest import RECORDED
from tests.vm import asking, boot, cache, plan, record

if TYPE_CHECKING:
    from probe_scout.model.verdict import Verdict

PATH = os.environ.get("PROBE_SCOUT_DEBUG_VMLINUX", "")
COUNT = int(os.environ.get("PROBE_SCOUT_COPIES", "400"))
SEED = int(os.environ.get("PROBE_SCOUT_SEED", "5"))
KERNEL = "6.12"
UNKNOWN_MAX = 0.05  # places whose code the running kernel may have rewritten

PARTIAL = int(os.environ.get("PROBE_SCOUT_PARTIAL", "240"))
PLACES_MAX = 4  # of a function that is attached to
HERE = Path(__file__).resolve().parent
# Steps of guest/inline_counts.py that make a copy run so many times, and the symbol never or for others' sake.
ROUNDS = 100
CERTAIN = {"fsync": "vfs_fsync", "open_call": "do_sys_open", "capset": "cap_capable"}
# Functions that ordinary work passes; half of those drawn hold their copies in such.
BUSY = re.compile(
    "(__x64_sys|__do_sys|do_|vfs_|tcp_|udp|ip_|ip6|inet|sock|unix|proc|seq_|shmem|mm|copy_|kern|path|file|generic|cap_"
    "|sched|wake|signal|pipe|ep_|anon|alloc|free|mount|user|task|net|skb|dev_|rt|fib|exec|wait|lock|timer|security)"
)

surveys = survey.paths  # before tests/conftest.py takes the surveys away
pytestmark = pytest.mark.vm


def predicted(count: int) -> dict[str, Verdict]:
    """So many places of inlined copies with their verdicts, of functions drawn at random; none that is dangerous."""
    kernel = open_kernel(str(RECORDED))
    report = kernel.inline_all("*", ("partial", "full"), PATH)
    names = sorted({row.name for row in report.rows if 2 <= row.copies <= 20})
    random.Random(SEED).shuffle(names)
    found: dict[str, Verdict] = {}
    for name in names:
        for function in kernel.inline(name, PATH).functions:
            for copy in function.copies:
                if (
                    copy.verdict is not None
                    and copy.symbol not in plan.HAZARDS
                    and not copy.symbol.startswith("__pfx_")
                ):
                    found.setdefault(copy.target, copy.verdict)
        if len(found) >= count:
            break
    return dict(list(found.items())[:count])


@pytest.mark.skipif(not PATH, reason="PROBE_SCOUT_DEBUG_VMLINUX names no file")
def test_every_copy_is_taken_or_refused_as_predicted(tmp_path, capsys):
    if cache.find(KERNEL) is None:
        pytest.skip(f"{KERNEL} is not fetched: python -m tests.vm fetch {KERNEL}")
    verdicts = predicted(COUNT)
    questions = [plan.Question("kprobe", target) for target in verdicts]
    kept = asking.Record(tmp_path / "answers.tsv")
    guest = record.LabGuest(KERNEL, tmp_path, record.build_prober(tmp_path), [])
    assert asking.ask(questions, kept, guest, limit_s=1500, boot_s=900)
    right, unknown, wrong = 0, [], []
    for question in questions:
        verdict, errno = verdicts[question.target], kept.answers[question].errno
        if verdict.answer == "unknown":
            unknown.append(question.target)
        elif errno == ("0" if verdict.answer == "yes" else verdict.errno):
            right += 1
        else:
            wrong.append((question.target, verdict.answer, verdict.errno, errno))
    accepted = sum(answer.errno == "0" for answer in kept.answers.values())
    with capsys.disabled():
        print(f"\n{len(questions)} places: {right} as predicted ({accepted} accepted), {len(unknown)} unknown")
    assert wrong == []
    assert len(unknown) <= UNKNOWN_MAX * len(questions)


def partial_functions(k) -> dict[str, tuple[str, ...]]:
    """`partial` functions of the surveyed build with the places of all their missed copies, drawn at random.

    Names that a symbol of a module has as well are left out: the snapshot has modules loaded that the guest has not.
    """
    symbols = k.full().symbols
    found = survey.functions(k.build_id())
    assert found is not None, "the lab's 6.12 is no surveyed build"
    every = {
        name: one
        for name, one in found
        if one.kind == "partial"
        and not one.others
        and not {name, *(holder for holder, _ in one.places)} & plan.HAZARDS
        and all(len(symbols.rows(each.encode())) == 1 for each in (name, *(holder for holder, _ in one.places)))
    }
    few = sorted(name for name, one in every.items() if 0 < len(one.places) <= PLACES_MAX)
    busy = [name for name in few if any(BUSY.match(holder) for holder, _ in every[name].places)]
    chosen = random.Random(SEED)
    drawn = dict.fromkeys([*CERTAIN.values(), *chosen.sample(busy, PARTIAL // 2), *chosen.sample(few, PARTIAL)])
    return {
        name: tuple(f"{holder}+{offset:#x}" for holder, offset in every[name].places)
        for name in list(drawn)[: PARTIAL + len(CERTAIN)]
    }


def test_calls_that_the_symbol_misses_are_seen_at_the_copies(tmp_path, capsys, monkeypatch):
    if cache.find(KERNEL) is None:
        pytest.skip(f"{KERNEL} is not fetched: python -m tests.vm fetch {KERNEL}")
    monkeypatch.setattr("probe_scout.probes.inlining.survey.paths", surveys)
    kernel = open_kernel(str(RECORDED))
    functions = partial_functions(kernel._kernel)
    asked = [*functions, *dict.fromkeys(place for places in functions.values() for place in places)]
    (tmp_path / "places").write_text("\n".join(asked))
    out = Path(os.environ.get("PROBE_SCOUT_INLINE_KEPT", str(tmp_path / "out")))
    out.mkdir(exist_ok=True, parents=True)
    ended = boot.run(
        KERNEL,
        ["python3", "/host/inline_counts.py", "/host/places", "/out/counts.json"],
        share={"/host/inline_counts.py": HERE / "guest/inline_counts.py", "/host/places": tmp_path / "places"},
        out=out,
        timeout_s=1800,
    )
    assert ended.status == 0, (ended.stderr, ended.console[-2000:])
    said = json.loads((out / "counts.json").read_text())

    # Every symbol and every place is taken or refused as it was judged.
    wrong, unknown = [], 0
    for place in asked:
        (verdict,) = verdicts(kernel._kernel, parse(place), ("kprobe",))
        unknown += verdict.answer == "unknown"
        if verdict.answer != "unknown" and said["errno"][place] != (verdict.errno or "0"):
            wrong.append((place, verdict.answer, verdict.errno, said["errno"][place]))
    whole = [name for name in functions if {said["errno"][one] for one in (name, *functions[name])} == {"0"}]

    def seen(places, step=None) -> int:
        if step is not None:
            return sum(said["steps"][step].get(place, 0) for place in places)
        return sum(said["after"][place] - said["before"][place] for place in places)

    hit = [name for name in whole if seen(functions[name])]
    blind = [name for name in hit if not seen((name,))]
    with capsys.disabled():
        print(f"\n{len(functions)} functions, {len(asked)} probes, {unknown} verdicts unknown for want of code")
        print(
            f"{len(whole)} attached with all copies; copies of {len(hit)} ran, {len(blind)} of them never by the symbol"
        )
        for name in hit:
            print(f"  {name}: {seen((name,))} by the symbol, {seen(functions[name])} at {' '.join(functions[name])}")
    assert wrong == []
    assert len(whole) >= min(50, PARTIAL)
    assert len(hit) >= len(whole) // 10
    for step, name in CERTAIN.items():
        assert seen(functions[name], step) >= ROUNDS, (step, name, said["steps"][step])
    assert seen(functions["vfs_fsync"], "fsync") == ROUNDS
    assert seen(("vfs_fsync",), "fsync") == 0
    assert seen(("do_sys_open",), "open_call") == 0
