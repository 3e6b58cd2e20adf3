"""Compare verdicts with what booted kernels answered: kernel × type of question; right, wrong, unknown, errno right.

Run `python -m tests.oracle.scoreboard` from the repository's root; `--kernel 6.12` limits it, `--names` shows
more of the differences, `--lab` takes the whole recordings of the lab's cache, with the kernel's image, in place of
what is bundled; `--lab --write docs/scoreboard.md` writes the page.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
import zlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe_scout.errors import SourceError
from probe_scout.formats.text import trace_format
from probe_scout.kernel.kernel import Kernel
from probe_scout.model import facts
from probe_scout.model.target import OFFSET, parse
from probe_scout.probes.attach import function_traits, instruction
from probe_scout.rules import PATHS, tracepoint_access
from probe_scout.rules import judge as engine
from probe_scout.sources import open_source
from probe_scout.sources.source import Source
from tests.vm import cache

from . import recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from probe_scout.model.trace import TraceFormat
    from probe_scout.model.traits import EventTraits

    from .recorded import Answer

ROOT = Path(__file__).resolve().parents[2]
ANSWERS, KERNELS = ROOT / "fixtures" / "answers", ROOT / "fixtures" / "kernels"
# Rules that the kernel asks at attach: an attempt that only loads does not meet them.
ATTACH_GATES = ("trampoline", "trampoline_multi")
LOAD_RULES = ("trampoline.no_jit",)  # of these gates: check_attach_btf_id gets no trampoline, and the load ends
ATTACH_FACTS = {facts.ENTRY_CODE, facts.FILTER_FUNCTIONS}  # only those rules need them
TRACEFS = {"kprobe_event": "kprobe", "kretprobe_event": "kretprobe"}
EVENTS = ("tp", "tp.s", "raw_tp", "raw_tp.s", "raw_tp.w", "tp_btf", "tp_btf.s")
SYSCALLS = ("ksyscall", "kretsyscall")
BY_SYMBOL = ("kprobe", "kretprobe", "kprobe.multi", "kretprobe.multi", "kprobe.session")
# Questions whose answers are kept and not judged yet.
NOT_JUDGED = ("kfunc", "raw_tp_arg", "tp_btf_arg", "uprobe", "uretprobe", "uprobe.multi", "uprobe.session")
# Targets whose set of answers few others share are always judged; of the rest a default run judges one in so many.
RARE = 40
ONE_IN = 8


class Row:
    """The score of one kernel and one type of question."""

    def __init__(self) -> None:
        self.right = self.unknown = self.errno_right = self.refused = self.hazards = self.not_judged = 0
        self.wrong: list[str] = []
        self.errno_wrong: list[str] = []
        self.unknown_names: list[str] = []
        self.reasons: Counter[str] = Counter()

    @property
    def asked(self) -> int:
        """Answers that were judged."""
        return self.right + self.unknown + len(self.wrong)


class Said:
    """The tool's answer to one question."""

    __slots__ = ("answer", "errno", "missing")

    def __init__(self, answer: str, errno: str | None, missing: Iterable[str] = ()) -> None:
        self.answer, self.errno, self.missing = answer, errno, set(missing)

    def words(self) -> tuple[str, str | None]:
        """What counts in a comparison."""
        return self.answer, self.errno


class Judge:
    """Asks one kernel the questions of the prober."""

    def __init__(self, source: Source, image: bytes | None = None) -> None:
        self.kernel = Kernel(source, image=image)
        self.kernel.full()
        self.kernel.take_as_whole()  # a slice is whole for the targets it was cut for, and no others are asked
        self.outcomes: dict[object, engine.Outcome] = {}
        self.traits: dict[object, object] = {}
        self.formats: dict[str, TraceFormat] = {}

    def say(self, target: str, asked: Answer) -> Said:
        """The tool's answer; KeyError for a type that it does not know."""
        type_ = TRACEFS.get(asked.type, asked.type)
        is_load = type_.endswith("_load")
        type_ = type_.removesuffix("_load")
        if type_ == "tp_field":
            return self._field(target, asked.more)
        if type_ in EVENTS:
            return self._plain(type_, self._event(target))
        if type_ in SYSCALLS:
            return self._plain(type_, self._function(f"{self.kernel.syscall_prefix()}sys_{target}", None))
        where = parse(target)
        if where.kind == OFFSET:
            verdict = instruction.verdicts(self.kernel, where, (type_,))[0]
            return Said(verdict.answer, verdict.errno, [gap.fact for gap in verdict.unread])
        module = where.module if type_ in BY_SYMBOL else where.module or "vmlinux"
        traits = self._function(where.name, module)
        return self._load(type_, traits) if is_load else self._plain(type_, traits)

    def _outcome(self, attach: str, traits: object) -> engine.Outcome:
        key = (attach, traits)
        if key not in self.outcomes:
            self.outcomes[key] = engine.judge(self.kernel, attach, traits)
        return self.outcomes[key]

    def _plain(self, attach: str, traits: object) -> Said:
        outcome = self._outcome(attach, traits)
        return Said(outcome.answer, outcome.errno, [fact for fact, _ in outcome.missing])

    def _load(self, attach: str, traits: object) -> Said:
        """The program's load alone."""
        outcome = self._outcome(attach, traits)
        fired = [r for r in outcome.fired if r.id in LOAD_RULES or r.gate.name not in ATTACH_GATES]
        missing = {fact for fact, _ in outcome.missing} - ATTACH_FACTS
        answer = "no" if fired else "unknown" if missing else "yes"
        return Said(answer, fired[0].errno if fired else None, missing)

    def _function(self, name: str, module: str | None) -> object:
        key = (name, module)
        if key not in self.traits:
            self.traits[key] = function_traits.function_traits(self.kernel, name, module)
        return self.traits[key]

    def _event(self, target: str) -> EventTraits:
        category, _, name = target.rpartition(":")
        return function_traits.event_traits(self.kernel, category or None, name)

    def _field(self, event: str, more: str) -> Said:
        if event not in self.formats:
            try:
                raw = self.kernel.source.read(f"sys/kernel/tracing/events/{event.replace(':', '/')}/format")
            except SourceError:
                return Said("unknown", None, ["format"])
            self.formats[event] = trace_format.parse(raw, category=event.partition(":")[0])
        offset, size = (int(word) for word in more.split(":"))
        found = tracepoint_access.reads(offset, size, self.formats[event])
        whole = self._plain("tp", self._event(event))
        is_type_known = self.kernel.feature("bpf_events") is not False  # else the load ends before the verifier
        if whole.answer != "yes" and not (is_type_known and found and found.stage == "load"):
            return whole
        if found is None:
            return Said("unknown", None, ["format"])
        return Said("yes" if found.accepted else "no", found.errno)


def knows(type_: str) -> bool:
    """Whether the tool has an answer to this type of question."""
    return TRACEFS.get(type_, type_).removesuffix("_load") in PATHS or type_ == "tp_field"


def is_judged(answer: Answer) -> bool:
    """The tool has an answer to compare with this one, and the kernel has given one."""
    return answer.errno not in recorded.HAZARDS and answer.type not in NOT_JUDGED and answer.stage != "lookup"


def score(judge: Judge, rows: Iterable[tuple[str, tuple[Answer, ...]]]) -> dict[str, Row]:
    """Judges every answer given: type of question to its row; questions at an offset have rows of their own."""
    found: dict[str, Row] = defaultdict(Row)
    for target, answers in rows:
        for answer in answers:
            at_offset = "+0x" in target and answer.type in (*TRACEFS, *TRACEFS.values())
            row = found[f"{answer.type} +offset" if at_offset else answer.type]
            if answer.errno in recorded.HAZARDS:
                row.hazards += 1
            elif answer.type in NOT_JUDGED or answer.stage == "lookup":
                row.not_judged += 1
            elif knows(answer.type):
                count(row, target, answer, judge.say(target, answer))
            else:
                raise ValueError(f"{target}: no mapping for the type {answer.type!r}")
    return dict(sorted(found.items()))


def count(row: Row, target: str, answer: Answer, said: Said) -> None:
    """One answer into its row."""
    name = f"{target} {answer.more}".strip()
    if said.answer == "unknown":
        row.unknown += 1
        row.unknown_names.append(name)
        row.reasons.update(said.missing)
    elif (said.answer == "yes") != answer.ok:
        kernel = "yes" if answer.ok else f"{answer.errno} at {answer.stage}"
        row.wrong.append(f"{name}: we {said.answer} {said.errno or ''}, kernel {kernel}".replace(" ,", ","))
    else:
        row.right += 1
        if not answer.ok:
            row.refused += 1
            # tracefs tells some of perf's reasons as EINVAL (kernel/trace/trace_kprobe.c, trace_kprobe_create)
            is_tracefs = (
                answer.type in TRACEFS and said.errno in ("EADDRNOTAVAIL", "ENOENT") and answer.errno == "EINVAL"
            )
            if said.errno == answer.errno or is_tracefs:
                row.errno_right += 1
            else:
                row.errno_wrong.append(f"{name}: we {said.errno}, kernel {answer.errno} at {answer.stage}")


def part(rows: Iterable[tuple[str, tuple[Answer, ...]]], one_in: int) -> Iterator[tuple[str, tuple[Answer, ...]]]:
    """All targets with rare answers, and of the others one in `one_in`, the same ones every time."""
    alike: dict[tuple[tuple[str, str], ...], list[tuple[str, tuple[Answer, ...]]]] = defaultdict(list)
    for target, answers in rows:
        key = tuple((a.type, a.errno) for a in answers)
        alike[key].append((target, answers))
    for group in alike.values():
        for target, answers in group:
            if len(group) < RARE or zlib.crc32(target.encode()) % one_in == 0:
                yield target, answers


def kernels() -> dict[str, tuple[Path, Path]]:
    """Bundled kernels: name to snapshot and answers."""
    names = (path.name.removesuffix(".tsv.xz") for path in sorted(ANSWERS.glob("*.tsv.xz"), key=_by_release))
    return {name: (KERNELS / f"{name}.tar.xz", ANSWERS / f"{name}.tsv.xz") for name in names}


def provenance(name: str) -> dict[str, Any]:
    """What `pack` wrote beside a bundled kernel."""
    return tomllib.loads((KERNELS / f"{name}.kernel.toml").read_text())


def _by_release(path: Path) -> list[tuple[int, str]]:
    words = path.name.replace("-", ".").replace("+", ".").split(".")
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in words]


def open_recorded(snapshot: Path) -> Source:
    """The snapshot of a recorded kernel."""
    return open_source(str(snapshot))


def scored(name: str, one_in: int = 1) -> dict[str, Row]:
    """The rows of one recorded kernel."""
    snapshot, answers = kernels()[name]
    rows = recorded.read(answers)
    is_slice = provenance(name)["snapshot"] == "slice"  # a part already
    return score(Judge(open_recorded(snapshot)), rows if one_in <= 1 or is_slice else part(rows, one_in))


def in_lab() -> list[str]:
    """Names of the lab's table that are recorded in its cache, the oldest first."""
    from tests.vm import kernels as table

    return [name for name in table.KERNELS if (cache.root() / "recorded" / name / "answers.tsv").exists()]


def scored_in_lab(name: str) -> dict[str, Row]:
    """The rows of a whole recording, judged with the kernel's image, which offsets into functions need."""
    from tests.vm import asking, pack

    work = cache.root() / "recorded" / name
    rows = recorded.unpack(recorded.pack(pack.packed_rows(asking.read(work / "answers.tsv"))))
    image = cache.root() / "kernels" / name / "vmlinuz"
    judge = Judge(open_recorded(work / "snapshot.tar.xz"), image.read_bytes() if image.exists() else None)
    return score(judge, rows)


def one_in_wanted() -> int:
    """1 (everything) in the oracle lane, PROBE_SCOUT_ORACLE=whole; else ONE_IN."""
    return 1 if os.environ.get("PROBE_SCOUT_ORACLE") == "whole" else ONE_IN


def table(name: str, rows: dict[str, Row], names: int = 0) -> Iterator[str]:
    """The scoreboard's lines for a terminal."""
    yield f"{name:26} {'asked':>7} {'right':>7} {'wrong':>6} {'unknown':>8} {'errno right':>14} {'hazards':>8}"
    for type_, row in rows.items():
        if row.asked or row.hazards:
            errno = f"{row.errno_right}/{row.refused}"
            wrong = len(row.wrong)
            yield f"  {type_:24} {row.asked:7} {row.right:7} {wrong:6} {row.unknown:8} {errno:>14} {row.hazards:8}"
            for text in (*row.wrong[:names], *row.errno_wrong[:names]):
                yield f"         {text}"
            if row.unknown and names:
                yield f"         unknown for want of {dict(row.reasons)}: {', '.join(row.unknown_names[:names])}"
        elif row.not_judged:
            yield f"  {type_:24} {row.not_judged:7} answers kept, not judged"


def markdown(found: dict[str, dict[str, Row]]) -> str:
    """The board as a page. Written by --write, never by hand."""
    from probe_scout.kernel.features import FEATURES
    from probe_scout.rules import all_rules

    lines = [
        "# Scoreboard",
        "",
        "Verdicts against the recorded words of booted kernels: each row is one type of question on one kernel.",
        "A type with `_load` asks for the program's load alone, `_event` for tracefs instead of perf.",
        "*Wrong* is a yes for a no or the other way round; *errno* counts refusals whose errno was predicted;",
        "*crash* counts questions that took the kernel down: hazards, not answers. Which names were asked, all or a",
        "sample, is in the `kernel.toml` beside each recorded kernel. The unknown ones are offsets into functions of",
        "modules, which need the modules' files; these are not recorded.",
        "Made by `python -m tests.oracle.scoreboard --lab --write docs/scoreboard.md` from the lab's whole recordings;",
        "what is bundled of them in `fixtures/` is scored by the default test run.",
        "",
        "| kernel | type | asked | right | wrong | unknown | errno right | crash |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for kernel, rows in found.items():
        for type_, row in rows.items():
            if row.asked or row.hazards:
                lines.append(_line(kernel, type_, [row]))
        lines.append(_line(f"**{kernel}**", "**all**", rows.values(), "**"))
    if len(found) > 1:
        everything = [row for rows in found.values() for row in rows.values()]
        lines.append(_line("**all**", "**all**", everything, "**"))
    for kernel, rows in found.items():
        wrong = [text for row in rows.values() for text in row.wrong]
        if wrong:
            lines += ["", f"Wrong on {kernel}, the first of {len(wrong)}:", "", *(f"* `{text}`" for text in wrong[:20])]
        unknown = sorted({name for row in rows.values() for name in row.unknown_names})
        if unknown:
            lines += [
                "",
                f"Unknown on {kernel}, the first of {len(unknown)}: {', '.join(f'`{n}`' for n in unknown[:20])}.",
            ]
    kept = sum(row.not_judged for rows in found.values() for row in rows.values())
    if kept:
        lines += ["", f"{kept} more answers are kept and not judged (calls of kfuncs, arguments of raw tracepoints)."]
    rules = list(all_rules())
    contemporaries = {name for name, feature in FEATURES.items() if feature.contemporary}
    borrowed = sorted({r.id for r in rules if {r.feature, r.unless, *r.fires.__code__.co_consts} & contemporaries})
    lines += [
        "",
        f"{len(rules)} rules; none looks at a release number. Of these, {len(borrowed)} are recognised by a",
        "contemporary, because the change itself left no symbol, type or option:",
        ", ".join(f"`{i}`" for i in borrowed) + ".",
        "",
    ]
    return "\n".join(lines)


def _line(kernel: str, type_: str, rows: Iterable[Row], bold: str = "") -> str:
    rows = list(rows)
    cells: list[Any] = [
        sum(r.asked for r in rows),
        sum(r.right for r in rows),
        sum(len(r.wrong) for r in rows),
        sum(r.unknown for r in rows),
        f"{sum(r.errno_right for r in rows)} of {sum(r.refused for r in rows)}",
        sum(r.hazards for r in rows),
    ]
    return f"| {kernel} | {type_} | " + " | ".join(f"{bold}{cell}{bold}" for cell in cells) + " |"


def main() -> int:
    """The command; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernel", action="append", default=[], help="part of a recorded kernel's name")
    parser.add_argument("--names", type=int, default=3, help="differences shown per row")
    parser.add_argument("--lab", action="store_true", help="the lab's whole recordings")
    parser.add_argument("--write", metavar="FILE", help="also write the board as a page")
    options = parser.parse_args()
    if options.write and options.kernel:
        parser.error("--write takes all kernels")
    there = in_lab() if options.lab else kernels()
    names = [n for n in there if not options.kernel or any(word in n for word in options.kernel)]
    if not names:
        parser.error("no such kernel is recorded: python -m tests.vm record")
    found = {}
    for name in names:
        found[name] = scored_in_lab(name) if options.lab else scored(name)
        print("\n".join(table(name, found[name], options.names)), flush=True)
    if options.write:
        Path(options.write).write_text(markdown(found))
    return 1 if any(row.wrong for rows in found.values() for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
