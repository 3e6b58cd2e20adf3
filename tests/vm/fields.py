"""Ask a kernel about every field of every event and every argument of every raw tracepoint; compare with the tool.

python -m tests.vm fields -k KERNEL [--arch ARCH] [--sample N] [--pack FOLDER]

The questions come from the raw files by plain reading (plan.py, btf_names.py); the prober asks them, the answers are
kept below `fields/KERNEL` of the lab's cache and not asked again. 0 if the tool agrees with every answer, 1 if not.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from probe_scout.errors import SourceError
from probe_scout.formats.text import event_ids, trace_format
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.trace import UNREADABLE
from probe_scout.probes.tracepoints import listing as events
from probe_scout.probes.tracepoints import record as tracepoints
from probe_scout.probes.tracepoints.raw_arguments import TraceTypes
from probe_scout.sources import open_source
from tests.oracle import loads

from . import asking, boot, cache, kernels, pack, plan, record
from .machines import MACHINES, NATIVE
from .problems import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from probe_scout.model.trace import RawArgument

FIELD, TYPED, RAW = "tp_field", "tp_btf_arg", "raw_tp_arg"
SIZES = (1, 2, 4, 8)
LARGEST_RECORD = 8192  # PERF_MAX_TRACE_SIZE
FOLDERS = plan.TRACING + "events"
# So many programs stay on an event at most: the kernel takes 64 (E2BIG).
HOLD = "48"
LIMIT_S = 3600.0
# What is done to an argument after it was loaded: "+8" a pointer that may be NULL refuses, "&7" every pointer.
USES = ("", "+8", "&7")
FEW_DIFFERENCES = 40


class Found(NamedTuple):
    """What the kernel was asked and where the tool disagrees, a sentence each. `words`: answers by type and word."""

    asked: int
    differences: list[str]
    words: Counter[tuple[str, str]]


# Which questions


def every_load(fields: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Loads that prove what may be read of a record: (offset, size), each once.

    Each field whole, or its widest aligned piece and its last byte; the low half of 8 bytes; the same one byte further;
    around the end of the last field and of the furthest one; the last bytes that any record may have.
    """
    found: dict[tuple[int, int], None] = {}

    def add(offset: int, size: int) -> None:
        if offset >= 0:
            found[offset, size] = None

    ends = {8}
    for offset, size in fields:
        ends.add(offset + size)
        if size in SIZES:
            add(offset, size)
            add(offset + 1, size)
        else:
            add(offset, max(one for one in SIZES if one <= max(size, 1) and offset % one == 0))
            add(offset + max(size, 1) - 1, 1)
            add(offset + 1, 2)
        if size == 8:
            add(offset, 4)
    for end in {fields[-1][0] + fields[-1][1], max(ends)} if fields else ends:
        add(end - 1, 1)
        for size in SIZES:
            up = -(-end // size) * size
            add(up, size)
            add(up - size, size)
    for size in SIZES:
        add(LARGEST_RECORD - size, size)
        add(LARGEST_RECORD, size)
    return list(found)


def event_names(files: plan.Files) -> list[str]:
    """Every event that has a format file, those of the category ftrace too: `category:name`."""
    found = (files.folder / FOLDERS).glob("*/*/format")
    return sorted(f"{path.parent.parent.name}:{path.parent.name}" for path in found)


def questions(files: plan.Files, sample: int = 0) -> list[plan.Question]:
    """All questions, or those of so many events and so many raw tracepoints at random."""
    names, raw_names = event_names(files), sorted(files.tracepoints)
    if sample:
        draw = random.Random(f"{plan.SEED} fields")
        names = sorted(draw.sample(names, min(sample, len(names))))
        raw_names = sorted(draw.sample(raw_names, min(sample, len(raw_names))))
    asked = []
    for name in names:
        asked += [plan.Question(FIELD, name, f"{at}:{size}") for at, size in every_load(files.fields(name))]
    for name in raw_names:
        count = files.tracepoints[name]
        asked += [plan.Question(TYPED, name, f"{n}{use}") for n in range(count) for use in USES]
        asked += [plan.Question(TYPED, name, str(count)), plan.Question(TYPED, name, str(count + 1))]
        asked += [plan.Question(RAW, name, str(n)) for n in range(count + 2)]
    return asked


# What the tool says


class Tool:
    """The tool's answers of one kernel, as words: `ok`, `load:EACCES`; "unknown" where it cannot tell."""

    def __init__(self, snapshot: Path) -> None:
        self.kernel = Kernel(open_source(str(snapshot)))
        self.kernel.full()
        self.kernel.read_many([f"{FOLDERS}/{c}/{n}/format" for c, n in events.listed(self.kernel)])
        self.answers = events.Answers(self.kernel)
        self.types = TraceTypes(self.kernel)
        self.types.load_all()

    def say_loads(self, event: str, asked: Iterable[tuple[int, int]]) -> dict[tuple[int, int], str]:
        """Of each load from this event's record."""
        category, _, name = event.partition(":")
        fmt = trace_format.parse(self.kernel.read(f"{FOLDERS}/{category}/{name}/format"), category=category)
        tp = self.answers.verdicts(category, name)[0]
        found = {}
        for offset, size in asked:
            one = tracepoints.event_read(offset, size, fmt, tp)
            found[offset, size] = {"yes": loads.OK, "unknown": "unknown"}.get(one.answer, f"{one.stage}:{one.errno}")
        return found

    def fields_that_differ(self, event: str, said: dict[tuple[int, int], str]) -> Iterator[str]:
        """Fields that are called readable and are not, or the other way round. `said` is the kernel's."""
        category, _, name = event.partition(":")
        fmt = trace_format.parse(self.kernel.read(f"{FOLDERS}/{category}/{name}/format"), category=category)
        if self.answers.verdicts(category, name)[0].answer != "yes":
            return
        for field in tracepoints.event_fields(fmt):
            if field.access == UNREADABLE:
                accepted = [load for load, word in said.items() if load[0] == field.offset and word == loads.OK]
                if accepted:
                    yield f"{event} {field.name}: we unreadable, kernel accepts {accepted}"
            elif field.load and said.get((field.offset, field.load), loads.OK) != loads.OK:
                word = said[field.offset, field.load]
                yield f"{event} {field.name}: we a load of {field.load} bytes, kernel {word}"

    def records_that_differ(self) -> tuple[int, list[str]]:
        """Events whose struct the kernel names in btf_ids; those of them where the search without it finds another.

        Structs with the same members and the same arguments cannot be told apart, and count as found.
        """
        asked, differing = 0, []
        for category, name in events.listed(self.kernel):
            folder = f"{FOLDERS}/{category}/{name}"
            try:
                ids = event_ids.btf_ids(self.kernel.read(f"{folder}/btf_ids"))
            except SourceError:
                continue
            asked += 1
            fmt = trace_format.parse(self.kernel.read(f"{folder}/format"), category=category)
            told, ours = self.types.record(category, name, fmt, ids), self.types.record(category, name, fmt)
            if told is None or ours is None or told.name not in (ours.name, *ours.others):
                differing.append(f"{category}:{name}: we {ours and ours.name}, kernel {told and told.name}")
        return asked, differing

    def say_typed(self, tracepoint: str, more: str) -> str:
        """Of a tp_btf program that loads an argument and perhaps uses it."""
        verdict = self.answers.verdicts("", tracepoint)[2]
        if verdict.answer != "yes":
            return verdict.answer if verdict.answer == "unknown" else f"load:{verdict.errno}"
        at = int(more[:-2] if more[-2:] in USES else more)
        one = _at_slot(self.types.arguments(tracepoint), at)
        if one is None or one.access == UNREADABLE:
            return "load:EACCES"
        if one.access == "unknown" or (more.endswith("+8") and one.nullable == "unknown"):
            return "unknown"
        if more.endswith("&7") and one.shape == "struct_pointer":
            return "load:EACCES" if one.nullable != "unknown" else "unknown"
        return "load:EACCES" if more.endswith("+8") and one.nullable == "yes" else loads.OK

    def say_raw(self, tracepoint: str, more: str) -> str:
        """Of a raw_tp program that loads an argument."""
        verdict = self.answers.verdicts("", tracepoint)[1]
        if verdict.answer != "yes":
            return verdict.answer if verdict.answer == "unknown" else f"attach:{verdict.errno}"
        if int(more) >= RAW_ARGUMENTS_MAX:
            return "load:EACCES"
        return loads.OK if int(more) < len(self.types.arguments(tracepoint)) else "attach:EINVAL"


RAW_ARGUMENTS_MAX = 12  # MAX_BPF_FUNC_ARGS: raw_tp_prog_is_valid_access looks no further


def _at_slot(arguments: Iterable[RawArgument], slot: int) -> RawArgument | None:
    return next((one for one in arguments if one.slot <= slot < one.slot + max(1, (one.size + 7) // 8)), None)


def compare(snapshot: Path, answers: dict[plan.Question, asking.Answer]) -> Found:
    """The tool against these answers. A question that the prober could not ask (`lookup`) counts as a difference."""
    tool = Tool(snapshot)
    differences: list[str] = []
    words: Counter[tuple[str, str]] = Counter()
    said: dict[str, dict[tuple[int, int], str]] = {}
    for question, answer in answers.items():
        word = loads.word(answer.errno, answer.stage)
        words[question.type, word] += 1
        if question.type == FIELD:
            offset, size = question.more.split(":")
            said.setdefault(question.target, {})[int(offset), int(size)] = word
        elif question.type in (TYPED, RAW):
            say = tool.say_typed if question.type == TYPED else tool.say_raw
            ours = say(question.target, question.more)
            if ours != word:
                differences.append(f"{' '.join(question)}: we {ours}, kernel {word} {answer.message}".strip())
    for event, words_of in said.items():
        for load, ours in tool.say_loads(event, words_of).items():
            if ours != words_of[load]:
                differences.append(f"{FIELD} {event} {load[0]}:{load[1]}: we {ours}, kernel {words_of[load]}")
        differences += tool.fields_that_differ(event, words_of)
    return Found(len(answers), differences, words)


# Asking and keeping


def folder_of(kernel: str) -> Path:
    """Where the answers are kept."""
    return cache.root() / "fields" / kernel


def prepare(kernel: str) -> Path:
    """The folder with a snapshot of the kernel: the recording's if there is one, else a boot for it.

    Answers of another build of the line are thrown away.
    """
    work, recorded = folder_of(kernel), record.folder_of(kernel)
    if work.exists() and _release(work) != cache.get(kernel).release:
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "snapshot.tar.xz").exists():
        if (recorded / "snapshot.tar.xz").exists() and _release(recorded) == cache.get(kernel).release:
            shutil.copy2(recorded / "snapshot.tar.xz", work / "snapshot.new")
            record.unpack(work / "snapshot.new", work / "files")
            (work / "snapshot.new").replace(work / "snapshot.tar.xz")
        else:
            record.take_snapshot(kernel, work)
    return work


def _release(folder: Path) -> str:
    version = plan.Files(folder / "files").text("proc/version").split()
    return version[2] if len(version) > 2 else ""


def ask(kernel: str, sample: int = 0, limit_s: float = LIMIT_S) -> tuple[Path, dict[plan.Question, asking.Answer]]:
    """The snapshot, and the kernel's answers to all questions, or to a sample of them. Raises AskingFailed."""
    work = prepare(kernel)
    wanted = questions(plan.Files(work / "files"), sample)
    kept = asking.Record(work / "answers.tsv")
    guest = record.LabGuest(kernel, work, record.build_prober(work, boot.machine_of(kernel)), ["--hold", HOLD])
    if not asking.ask(wanted, kept, guest, limit_s=limit_s, boot_s=record.BOOT_S):
        raise asking.AskingFailed(f"{kernel}: not all of {len(wanted)} questions were answered in {limit_s:.0f} s")
    return work / "snapshot.tar.xz", {question: kept.answers[question] for question in wanted}


def packed(work: Path, answers: dict[plan.Question, asking.Answer]) -> bytes:
    """The answers about fields as a fixture."""
    files = plan.Files(work / "files")
    said: dict[str, dict[tuple[int, int], str]] = {}
    for question, answer in answers.items():
        if question.type == FIELD:
            offset, size = question.more.split(":")
            word = loads.word(answer.errno, answer.stage)
            said.setdefault(question.target, {})[int(offset), int(size)] = word
    texts = {event: files.text(f"{FOLDERS}/{event.replace(':', '/')}/format") for event in said}
    return loads.pack(loads.Event(event, loads.fields_of(texts[event]), words) for event, words in said.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm fields", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-k", "--kernel", default=kernels.NEWEST)
    parser.add_argument(
        "--arch", default=NATIVE.debian, choices=list(MACHINES), help="-k 7.3 --arch arm64 is -k 7.3-arm64"
    )
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only N events and N raw tracepoints")
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS", help="stop asking after this time")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="write the answers about fields as a fixture")
    options = parser.parse_args(arguments)
    os.nice(5)
    try:
        kernel = kernels.named(options.kernel, options.arch)
        snapshot, answers = ask(kernel, options.sample, options.limit)
    except (asking.AskingFailed, LabError) as exc:
        print(f"fields: {exc}", file=sys.stderr)
        return 2
    found = compare(snapshot, answers)
    for (type_, word), count in sorted(found.words.items()):
        print(f"{type_:12} {word:16} {count:7}")
    for text in found.differences[:FEW_DIFFERENCES]:
        print(text)
    print(f"{kernel}: {found.asked} answers, {len(found.differences)} differences")
    if options.pack:
        raw = packed(snapshot.parent, answers)
        versions = cache.get(kernel).packages
        version = next(version for name, version in versions.items() if name.startswith("linux-image"))
        target = options.pack / f"{pack.fixture_name(kernel, version)}.txt.xz"
        target.write_bytes(raw)
        print(f"{target}: {len(raw)} bytes")
    return int(bool(found.differences))


if __name__ == "__main__":
    sys.exit(main())
