"""Boot a kernel, take its snapshot, ask it anew, and compare: with the tool's verdicts, and with what is recorded.

python -m tests.vm smoke [-k KERNEL] [--questions N] [--verify N] [--budget SECONDS]

The newest kernel by default. 0 if every verdict is right, nothing is unknown, every answer is the recorded one and
`verify` in the guest agrees; 1 if not; 2 if no guest could be had; 3 if it took longer than the budget.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from probe_scout.errors import SourceError
from tests.oracle import recorded, scoreboard

from . import asking, kernels, pack, plan, record
from .machines import MACHINES, NATIVE
from .problems import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

QUESTIONS, VERIFIED = 2000, 50
VERIFIED_TYPES = ("kprobe", "kprobe.multi", "fentry")
LEAST_OF_A_PART = 8
VERIFY_TIMEOUT_S = 300


class Found(NamedTuple):
    """What came out. `changed` are answers unlike the recorded ones; `verify` is the tool's exit code, -1 not run."""

    rows: dict[str, scoreboard.Row]
    changed: list[str]
    verify: int
    verify_said: str

    def faults(self) -> list[str]:
        """A sentence for each thing that is not as it must be; none if all is well."""
        said = [f"{type_}: {text}" for type_, row in self.rows.items() for text in row.wrong]
        for type_, row in self.rows.items():
            if row.unknown and not type_.endswith("+offset"):
                said.append(f"{type_}: {row.unknown} unknown, such as {row.unknown_names[0]}")
        said += [f"not as recorded: {text}" for text in self.changed]
        refused, right = (sum(getattr(row, key) for row in self.rows.values()) for key in ("refused", "errno_right"))
        if right < 0.999 * refused:
            texts = [text for row in self.rows.values() for text in row.errno_wrong]
            said.append(f"errno right in {right} of {refused} refusals: {'; '.join(texts[:5])}")
        if self.verify > 0:
            said.append(f"verify ended with {self.verify}: {self.verify_said.strip()[-500:]}")
        return said


def choose(parts: Iterable[plan.Part], count: int) -> list[plan.Question]:
    """So many questions, some of every part but the dangerous ones, the same every time; in the plan's order."""
    harmless = [
        part for part in parts if part.name != plan.LAST and part.questions[0].type not in scoreboard.NOT_JUDGED
    ]
    total = sum(len(part.questions) for part in harmless)
    rest = max(0, count - LEAST_OF_A_PART * len(harmless))
    shares = [min(len(p.questions), max(LEAST_OF_A_PART, len(p.questions) * rest // total)) for p in harmless]
    # What small parts cannot give comes from the largest that has some left.
    for at in sorted(range(len(harmless)), key=lambda at: shares[at] - len(harmless[at].questions)):
        shares[at] += min(len(harmless[at].questions) - shares[at], max(0, count - sum(shares)))
    chosen: list[plan.Question] = []
    for part, share in zip(harmless, shares, strict=True):
        chosen += part.questions[:share]
    return chosen


def changed(
    answers: dict[plan.Question, asking.Answer], known: Iterable[tuple[str, tuple[recorded.Answer, ...]]]
) -> list[str]:
    """Answers that differ from the recorded ones to the same questions."""
    before = {(a.type, target, a.more): a.errno for target, said in known for a in said}
    return [
        f"{question.line()}: recorded {old}, now {answer.errno}"
        for question, answer in answers.items()
        if (old := before.get(tuple(question))) is not None and old != answer.errno and old not in recorded.HAZARDS
    ]


def known_answers(snapshot: Path) -> Iterable[tuple[str, tuple[recorded.Answer, ...]]]:
    """The recorded answers of the same build, from the fixtures; none if another build was fetched."""
    release = scoreboard.open_recorded(snapshot).read("proc/version")
    for path, answers in scoreboard.kernels().values():
        try:
            if path.exists() and scoreboard.open_recorded(path).read("proc/version") == release:
                return recorded.read(answers)
        except SourceError:  # a snapshot without proc/version
            continue
    return ()


def anew(kernel: str, work: Path, questions: int, verified: int) -> Found:
    """Boots the kernel for the snapshot, for the questions and for `verify`."""
    from . import boot

    record.take_snapshot(kernel, work)
    snapshot = work / "snapshot.tar.xz"
    parts = plan.plan(plan.Files(work / "files"), full=False, scale=0.2)
    kept = asking.Record(work / "answers.tsv")
    guest = record.LabGuest(kernel, work, record.build_prober(work, boot.machine_of(kernel)), [])
    asking.ask(choose(parts, questions), kept, guest, limit_s=record.BOOT_S, boot_s=record.BOOT_S)
    judge = scoreboard.Judge(scoreboard.open_recorded(snapshot))
    packed = recorded.unpack(recorded.pack(pack.packed_rows(kept.answers.items())))
    rows = scoreboard.score(judge, packed)
    different = changed(kept.answers, known_answers(snapshot))
    status, said = verify(kernel, work, verified) if verified else (-1, "")
    return Found(rows, different, status, said)


def verify(kernel: str, work: Path, count: int) -> tuple[int, str]:
    """`probe-scout verify` of so many names inside the guest; its exit code and what it said."""
    from . import boot

    files = plan.Files(work / "files")
    listed = {line.split()[0] for line in files.text(f"{plan.TRACING}available_filter_functions").splitlines()}
    pool = sorted(name for name in files.text_symbols if name in listed)
    safe = [name for name in pool if name not in plan.HAZARDS and name not in files.module_ends]
    names = random.Random(f"{plan.SEED} verify").sample(safe, count)
    ended = boot.run(
        kernel,
        ["probe-scout", "verify", *names, "--limit", str(count), *(f"--type={type_}" for type_ in VERIFIED_TYPES)],
        share=record.files_of(kernel),
        modules=record.modules_of(kernel),
        timeout_s=VERIFY_TIMEOUT_S,
        memory_mb=record.MEMORY_MB,
        tool=True,
    )
    return ended.status, ended.stdout + ended.stderr


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    from . import cache

    parser = argparse.ArgumentParser(prog="python -m tests.vm smoke", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-k", "--kernel", default=kernels.NEWEST)
    parser.add_argument("--arch", default=NATIVE.debian, choices=list(MACHINES), help="of the kernel (default amd64)")
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--verify", type=int, default=VERIFIED, help="names for `verify` in the guest; 0: none")
    parser.add_argument("--budget", type=float, default=360, metavar="SECONDS", help="including the fetch")
    options = parser.parse_args(arguments)
    kernel = kernels.named(options.kernel, options.arch)
    started = time.monotonic()
    work = cache.root() / "smoke" / kernel
    shutil.rmtree(work, ignore_errors=True)
    try:
        found = anew(kernel, work, options.questions, options.verify)
    except (asking.AskingFailed, LabError) as exc:
        print(f"smoke: {exc}", file=sys.stderr)
        return 2
    took_s = time.monotonic() - started
    print("\n".join(scoreboard.table(kernel, found.rows)))
    for text in found.faults():
        print(f"smoke: {text}", file=sys.stderr)
    print(f"{kernel}: {took_s:.0f} s of {options.budget:.0f}, verify {found.verify}")
    return 1 if found.faults() else 3 if took_s > options.budget else 0


if __name__ == "__main__":
    sys.exit(main())
