"""Compare verdicts with what booted kernels answered: kernel × attach type, right, wrong, unknown, errno right.

Answers are JSON lines made by a program that attaches and detaches (one attempt a line: symbol, type, mod,
ok, errno, stage). Run `python -m tests.oracle.scoreboard` from the repository's root; `--kernel 6.12`
limits it, `--names` shows more of the differences.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from probe_scout import engine, questions
from probe_scout.kernel import Kernel
from probe_scout.model import facts
from probe_scout.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probe_scout.sources.source import Description, Source

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "kernels"

# answer file -> (attach type of the verdict or None to take it from the line, what the attempt covers)
FILES = {
    "kprobe": "kprobe",
    "kprobe_module_end": "kprobe",
    "kprobe_event": "kprobe",
    "kprobe_event_all": "kprobe",
    "kprobe_event_slow": "kprobe",
    "kretprobe": "kretprobe",
    "kretprobe_event": "kretprobe",
    "multi": "kprobe.multi",
    "multi_group": "kprobe.multi",
    "session": "kprobe.session",
    "fentry": "fentry",
    "fentry_attach": "fentry",
    "fexit": "fexit",
    "fexit_attach": "fexit",
    "fmod_ret": "fmod_ret",
    "fmod_ret_attach": "fmod_ret",
    "fentry_sleep": "fentry.s",
    "fsession": "fsession",
    "fentry_multi": "",
    "lsm": "",
    "iter": "iter",
    "tp": "tp",
    "raw_tp": "raw_tp",
    "tp_btf": "tp_btf",
}
LOAD_ONLY = frozenset(("fentry", "fexit", "fmod_ret", "fentry_sleep"))
# Rules that the kernel asks at attach: an attempt that only loads does not meet them.
ATTACH_GATES = ("trampoline", "trampoline_multi")


class Answer(NamedTuple):
    """One recorded attempt."""

    symbol: str
    module: str | None
    attach: str
    ok: bool
    errno: str | None
    stage: str


class Row:
    """The score of one kernel and one answer file."""

    def __init__(self) -> None:
        self.right = self.unknown = self.errno_right = self.refused = 0
        self.wrong: list[str] = []
        self.errno_wrong: list[str] = []
        self.unknown_names: list[str] = []
        self.reasons: Counter[str] = Counter()

    @property
    def asked(self) -> int:
        return self.right + self.unknown + len(self.wrong)


def raw_answers(folder: Path, name: str) -> Iterator[Answer]:
    """The attempts of one file as they were recorded, one line each."""
    path = folder / f"oracle-{name}.jsonl.gz"
    if not path.exists():
        return
    for line in gzip.open(path, "rt"):
        row = json.loads(line)
        if row["stage"] == "crash" or row.get("errno") == "crash" or "functions)" in row["symbol"]:
            continue
        attach = FILES[name] or row["type"]
        if attach == "lsm_cgroup":
            continue
        errno = {"99": "EADDRNOTAVAIL"}.get(row["errno"], row["errno"]) or None
        module = row.get("mod")
        if name == "multi_group":
            if row["ok"]:
                for symbol in row["symbol"].split(","):
                    yield Answer(symbol, None, attach, True, None, row["stage"])
            continue
        yield Answer(row["symbol"], module if module != "-" else "vmlinux", attach, row["ok"], errno, row["stage"])


def answers(folder: Path, name: str) -> Iterator[Answer]:
    """The attempts of one file, from the recorder's own files or from the packed form.

    Crashes are hazards, not answers.
    """
    if folder.is_dir():
        yield from raw_answers(folder, name)
        return
    if str(folder) not in _PACKED:
        _PACKED[str(folder)] = unpack(folder)
    yield from _PACKED[str(folder)].get(name, ())


_PACKED: dict[str, dict[str, list[Answer]]] = {}


def pack(folder: Path, path: Path) -> int:
    """Write all attempts of a folder into one file: file, symbol, module, attach, errno or "ok", stage, by tabs."""
    lines = [
        "\t".join((name, a.symbol, a.module or "", a.attach, "ok" if a.ok else a.errno or "?", a.stage))
        for name in FILES
        for a in raw_answers(folder, name)
    ]
    path.write_bytes(lzma.compress(("\n".join(lines) + "\n").encode(), preset=9 | lzma.PRESET_EXTREME))
    return len(lines)


def unpack(path: Path) -> dict[str, list[Answer]]:
    """The attempts of a packed file, by the recorder's file."""
    found: dict[str, list[Answer]] = defaultdict(list)
    for line in lzma.decompress(path.read_bytes()).decode().splitlines():
        name, symbol, module, attach, errno, stage = line.split("\t")
        found[name].append(
            Answer(symbol, module or None, attach, errno == "ok", None if errno == "ok" else errno, stage)
        )
    return found


def score(k: Kernel, folder: Path, name: str) -> Row:
    """Judge every recorded attempt of one file."""
    result = Row()
    memo: dict[object, engine.Outcome] = {}
    for a in answers(folder, name):
        if a.attach in ("tp", "raw_tp", "tp_btf"):
            category, _, event = a.symbol.rpartition(":")
            traits: object = questions.event_traits(k, category or None, event)
        else:
            typed = not a.attach.startswith(("kprobe", "kretprobe"))
            traits = questions.function_traits(k, a.symbol, a.module if typed else None)
        key = (a.attach, traits)
        if key not in memo:
            memo[key] = engine.judge(k, a.attach, traits)
        outcome = memo[key]
        answer, errno = outcome.answer, outcome.errno
        if name in LOAD_ONLY:
            fired = [rule for rule in outcome.fired if rule.gate.name not in ATTACH_GATES]
            missing = {fact for fact, _ in outcome.missing} - {facts.ENTRY_CODE}
            answer = "no" if fired else "unknown" if missing and not outcome.fired else "yes"
            errno = fired[0].errno if fired else None
        if answer == "unknown":
            result.unknown += 1
            result.unknown_names.append(a.symbol)
            result.reasons.update({fact for fact, _ in outcome.missing})
        elif (answer == "yes") != a.ok:
            result.wrong.append(f"{a.symbol}: we {answer} {errno or ''}, kernel {'yes' if a.ok else a.errno}")
        else:
            result.right += 1
            if not a.ok:
                result.refused += 1
                tracefs = "event" in name and errno in ("EADDRNOTAVAIL", "ENOENT") and a.errno == "EINVAL"
                if errno == a.errno or tracefs:
                    result.errno_right += 1
                else:
                    result.errno_wrong.append(f"{a.symbol}: we {errno}, kernel {a.errno} at {a.stage}")
    return result


def board(kernels: dict[str, tuple[str, Path]]) -> dict[str, dict[str, Row]]:
    """Scores of kernels given as name -> (snapshot, answers' folder)."""
    found: dict[str, dict[str, Row]] = defaultdict(dict)
    for kernel, (snapshot, folder) in kernels.items():
        k = Kernel(open_with_code(snapshot))
        k.full()
        for name in FILES:
            row = score(k, folder, name)
            if row.asked:
                found[kernel][name] = row
    return found


def recorded() -> dict[str, tuple[str, Path]]:
    """Kernels with answers inside the project: release to (snapshot, answers)."""
    found = {}
    for path in sorted((ROOT / "fixtures" / "answers").glob("*.tsv.xz")):
        name = path.name.removesuffix(".tsv.xz")
        found[name] = (str(ROOT / "fixtures" / "kernels" / f"{name}.tar.xz"), path)
    return found


def shared_kernels() -> dict[str, tuple[str, Path]]:
    """Kernels whose files and answers lie beside the project; their first instructions come from fixtures/code."""
    found = {}
    for folder in sorted(SHARED.glob("answers-*")):
        version = folder.name.removeprefix("answers-")
        snapshot = SHARED / f"debian-{version}.tar.xz"
        if snapshot.exists():
            found[version] = (str(snapshot), folder)
    return found


class WithCode:
    """A source with a code/slices of its own put beside it."""

    def __init__(self, source: Source, slices: bytes) -> None:
        self.source, self.slices = source, slices

    def read(self, path: str) -> bytes:
        """The slices, or what the source has."""
        return self.slices if path == "code/slices" else self.source.read(path)

    def names(self, folder: str) -> tuple[str, ...]:
        """As the source."""
        return self.source.names(folder)

    def describe(self) -> Description:
        """As the source."""
        return self.source.describe()


def open_with_code(snapshot: str) -> Source:
    """A snapshot; where it holds no code, fixtures/code of the same kernel beside it."""
    source = open_source(snapshot)
    version = Path(snapshot).name.removeprefix("debian-").removesuffix(".tar.xz")
    slices = sorted((ROOT / "fixtures" / "code").glob(f"debian-{version}.*slices"))
    if "amd64" in version or not slices:
        return source
    return WithCode(source, slices[0].read_bytes())


def markdown(found: dict[str, dict[str, Row]]) -> str:
    """The board as a page. Written by --write, never by hand."""
    from probe_scout.kernel import CONTEMPORARIES
    from probe_scout.rules import all_rules

    lines = [
        "# Scoreboard",
        "",
        "Verdicts against the recorded words of booted kernels: each row is one kind of attempt on one kernel.",
        "*Wrong* is a yes for a no or the other way round; *errno* counts refusals whose errno was predicted.",
        "Attempts that crashed a kernel are hazards, not answers.",
        "Made by `python -m tests.oracle.scoreboard --write docs/scoreboard.md`.",
        "",
        "| kernel | answers | asked | right | wrong | unknown | errno right |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for kernel, rows in found.items():
        for name, row in rows.items():
            errno = f"{row.errno_right} of {row.refused}"
            lines.append(
                f"| {kernel} | {name} | {row.asked} | {row.right} | {len(row.wrong)} | {row.unknown} | {errno} |"
            )
        total = list(rows.values())
        lines.append(
            f"| **{kernel}** | **all** | **{sum(r.asked for r in total)}** | **{sum(r.right for r in total)}** "
            f"| **{sum(len(r.wrong) for r in total)}** | **{sum(r.unknown for r in total)}** "
            f"| **{sum(r.errno_right for r in total)} of {sum(r.refused for r in total)}** |"
        )
    unknown = sorted({n for rows in found.values() for row in rows.values() for n in row.unknown_names})
    if unknown:
        lines += ["", f"Unknown for want of running code: {', '.join(f'`{n}`' for n in unknown)}."]
    rules = list(all_rules())
    borrowed = sorted({r.id for r in rules if {r.witness, r.unless, *r.fires.__code__.co_consts} & set(CONTEMPORARIES)})
    lines += [
        "",
        f"{len(rules)} rules; none looks at a release number. Of these, {len(borrowed)} are recognised by a",
        "contemporary, because the change itself left no symbol, type or option:",
        ", ".join(f"`{i}`" for i in borrowed) + ".",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernel", action="append", default=[])
    parser.add_argument("--names", type=int, default=3, help="differences shown per row")
    parser.add_argument("--write", metavar="FILE", help="also write the board as a page")
    parser.add_argument("--all", action="store_true", help="the packed answers as well as those beside the project")
    parser.add_argument("--pack", nargs=2, metavar=("FOLDER", "FILE"), help="pack a folder of answers and stop")
    options = parser.parse_args()
    if options.pack:
        print(f"{pack(Path(options.pack[0]), Path(options.pack[1]))} answers")
        return 0
    everything = {**recorded(), **shared_kernels()} if options.all or options.kernel else shared_kernels() or recorded()
    kernels = {k: v for k, v in everything.items() if not options.kernel or k in options.kernel}
    wrong = 0
    found = board(kernels)
    if options.write:
        Path(options.write).write_text(markdown(found))
    print(f"{'kernel':8} {'answers':18} {'asked':>7} {'right':>7} {'wrong':>6} {'unknown':>8} {'errno right':>14}")
    for kernel, rows in found.items():
        for name, row in rows.items():
            wrong += len(row.wrong)
            errno = f"{row.errno_right}/{row.refused}"
            print(f"{kernel:8} {name:18} {row.asked:7} {row.right:7} {len(row.wrong):6} {row.unknown:8} {errno:>14}")
            for text in (*row.wrong[: options.names], *row.errno_wrong[: options.names]):
                print(f"         {text}")
            if row.unknown:
                print(
                    f"         unknown for want of {dict(row.reasons)}: {', '.join(row.unknown_names[: options.names])}"
                )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
