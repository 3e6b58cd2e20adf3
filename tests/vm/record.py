"""Record a kernel: boot it, take a snapshot inside, ask it the whole plan, keep everything below one folder.

python -m tests.vm record -k 6.12 [--scale S] [--types T,…] [--limit SECONDS] [--dry]

Run again, it goes on where it stopped. The folder holds `snapshot.tar.xz` (probe-scout's own), `files/` (the
same unpacked), `guest.toml` (what the guest was), `plan.tsv` (which questions, all or a sample and how),
`answers.tsv` (asking.Record) and `boots.tsv`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from . import asking, kernels, plan
from .machines import MACHINES, NATIVE
from .problems import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .machines import Machine

ROOT = Path(__file__).resolve().parents[2]
MEMORY_MB = 3072
NICE = 10  # a recording takes hours and gives way
SNAPSHOT_TIMEOUT_S = 900
BOOT_S = 570.0
QUESTIONS, PROBER = "questions", "prober"
# In the guest: the snapshot, and what the provenance tells about the guest.
SNAPSHOT_COMMAND = "probe-scout snapshot -o /out/snapshot.tar.xz --with-code; status=$?; "
# Not packed: that takes a guest without KVM minutes.
SCRIPT_COMMAND = "sed '/^for w in gzip xz/d' /host/collect.sh | sh >/out/collected.tar; status=$?; "
AFTER = (
    "cat /proc/cmdline >/out/cmdline; cat /proc/version >/out/version; cut -d' ' -f1 /proc/modules >/out/modules; "
    "exit $status"
)


def folder_of(kernel: str) -> Path:
    """Where a kernel's recording is kept."""
    from . import cache

    return cache.root() / "recorded" / kernel


def build_prober(folder: Path, on: Machine = NATIVE) -> Path:
    """The prober, built from bpf/prober by the C compiler; static, because the guest has no libraries."""
    source, target = ROOT / "bpf" / "prober" / "prober.c", folder / PROBER
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        beside = target.with_suffix(f".{os.getpid()}")
        if on is not NATIVE:
            from . import foreign

            foreign.compile_static(on, source, beside)
            beside.replace(target)
            return target
        compiler = os.environ.get("CC", "cc")
        done = subprocess.run(
            [compiler, "-O2", "-static", "-o", str(beside), str(source)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise asking.AskingFailed(f"{compiler} could not build {source.relative_to(ROOT)}: {done.stderr[:400]}")
        beside.replace(target)
    return target


class LabGuest:
    """A guest of the lab that runs the prober; implements asking.Guest."""

    def __init__(self, kernel: str, work: Path, prober: Path, prober_options: Sequence[str] = ()) -> None:
        self.kernel, self.work, self.prober, self.options = kernel, work, prober, list(prober_options)

    def __call__(self, questions: Sequence[plan.Question], careful: bool, timeout_s: float) -> asking.Ended:
        """One boot: the questions go in as a file, the answers come out as they are written."""
        from . import boot

        share, live = self.work / "share", self.work / "live"
        share.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.prober, share / PROBER)
        (share / QUESTIONS).write_text("".join(q.line() + "\n" for q in questions))
        live.write_bytes(b"")
        # Careful: nothing is kept, so that what two attachments do together is not laid to the second.
        options = ["--careful"] if careful else self.options
        command = f"exec /host/{PROBER} /host/{QUESTIONS} $LAB_LIVE {' '.join(options)}"
        ended = boot.run(
            self.kernel,
            ["sh", "-c", command],
            share={"/host": share},
            live=live,
            modules=modules_of(self.kernel),
            timeout_s=timeout_s,
            memory_mb=MEMORY_MB,
        )
        words = _last_words(ended.console) or ended.stderr
        result = asking.Ended(ended.status, live.read_text(errors="replace"), words, ended.wall_s)
        with open(self.work / "boots.tsv", "a") as out:
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            row = (
                when,
                ended.status,
                f"{ended.wall_s:.0f}",
                len(questions),
                "careful" if careful else "",
                result.words,
            )
            out.write("\t".join(str(cell).replace("\t", " ").replace("\n", " ")[:300] for cell in row) + "\n")
        return result


def _last_words(console: str) -> str:
    """The console's lines that tell why a kernel died."""
    signs = ("BUG", "RIP:", "Oops", "panic", "WARNING", "double fault", "stall", "lockup")
    return " | ".join(line.strip() for line in console.splitlines() if any(sign in line for sign in signs))[:600]


def modules_of(kernel: str) -> tuple[str, ...]:
    """The modules that the kernel's row of the table asks for; none for one that was compiled here."""
    known = kernels.KERNELS.get(kernel)
    return tuple(known.modules) if known else ()


def files_of(kernel: str) -> dict[str, str | Path]:
    """What an installed system has on disk: the image, the lists of modules, the files of those that are loaded."""
    from . import archives, cache, modules

    cached = cache.get(kernel)
    found = modules.index(cached.modules)
    place = f"/usr/lib/modules/{cached.release}"
    share: dict[str, str | Path] = {f"/boot/vmlinuz-{cached.release}": cached.vmlinuz}
    early = modules.order(found, archives.TRANSPORT)
    names = [found.files[name] for name in (*early.modules, *modules.order(found, modules_of(kernel)).modules)]
    for name in ("modules.dep", "modules.builtin", *names):
        if (cached.modules / name).exists():
            share[f"{place}/{name}"] = cached.modules / name
    return share


def take_snapshot(kernel: str, work: Path) -> None:
    """Boots the kernel once and keeps its snapshot, unpacked too, and what the guest was.

    A guest of another architecture has no probe-scout: it runs the script of `snapshot --script`.
    """
    from . import boot, fetch

    fetch.fetch(kernel)
    is_native = boot.machine_of(kernel) is NATIVE
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    share = files_of(kernel)
    if not is_native:
        share["/host/collect.sh"] = work / "collect.sh"
        probe_scout("snapshot", "--script", "--force", "-o", str(work / "collect.sh"))
    ended = boot.run(
        kernel,
        ["sh", "-c", (SNAPSHOT_COMMAND if is_native else SCRIPT_COMMAND) + AFTER],
        share=share,
        out=out,
        modules=modules_of(kernel),
        timeout_s=SNAPSHOT_TIMEOUT_S,
        memory_mb=MEMORY_MB,
        tool=is_native,
    )
    if (out / "collected.tar").exists() and not ended.status:
        probe_scout("snapshot", "--root", str(out / "collected.tar"), "-o", str(out / "snapshot.tar.xz"))
    if ended.status or not (out / "snapshot.tar.xz").exists():
        words = ended.stderr.strip() or _last_words(ended.console)
        raise asking.AskingFailed(f"no snapshot of {kernel} (status {ended.status}): {words[-600:]}")
    write_guest(work / "guest.toml", out, ended.stderr)
    unpack(out / "snapshot.tar.xz", work / "files")
    (out / "snapshot.tar.xz").replace(work / "snapshot.tar.xz")  # last: its presence says that all is there


def probe_scout(*words: str) -> None:
    """Runs this checkout's tool. Raises AskingFailed with its words."""
    command = [sys.executable, "-m", "probe_scout", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise asking.AskingFailed(f"probe-scout {' '.join(words[:2])}: {done.stderr.strip()[-400:]}")


def write_guest(path: Path, out: Path, said: str) -> None:
    """When and how the snapshot was taken, as TOML."""
    lines = [f"taken = {quoted(time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()))}"]
    for key in ("cmdline", "version"):
        lines.append(f"{key} = {quoted((out / key).read_text().strip())}")
    lines.append(f"modules = [{', '.join(quoted(name) for name in sorted((out / 'modules').read_text().split()))}]")
    lines.append(f"snapshot_said = {quoted(said.strip()[-2000:])}")
    path.write_text("\n".join(lines) + "\n")


def quoted(text: str) -> str:
    """A TOML string."""
    import json

    return json.dumps(text, ensure_ascii=False)


def unpack(archive: Path, folder: Path) -> None:
    """All members below a folder; it appears only when it is complete."""
    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(beside, filter="data")
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def parts_of(kernel: str, work: Path, scale: float, types: Iterable[str]) -> list[plan.Part]:
    """The plan of a kernel whose snapshot is there, cut to some types."""
    wanted = set(types)
    parts = plan.plan(plan.Files(work / "files"), full=kernel in plan.FULL, scale=scale)
    if not wanted:
        return parts
    known = {q.type for part in parts for q in part.questions}
    if wanted - known - {follower for follower, _ in plan.FOLLOWING.values()}:
        raise asking.AskingFailed(
            f"no questions of type {', '.join(sorted(wanted - known))}: {' '.join(sorted(known))}"
        )
    cut = [part._replace(questions=[q for q in part.questions if q.type in wanted]) for part in parts]
    return [part for part in cut if part.questions]


def write_plan(path: Path, parts: Sequence[plan.Part]) -> None:
    """Part, questions, how they were chosen: one line each. Lines of parts that are not in this run are kept."""
    rows = dict(line.split("\t", 1) for line in path.read_text().splitlines()) if path.exists() else {}
    rows |= {part.name: f"{len(part.questions)}\t{part.how}" for part in parts}
    path.write_text("".join(f"{name}\t{rest}\n" for name, rest in rows.items()))


def ask_all(
    parts: Sequence[plan.Part],
    work: Path,
    guest: asking.Guest,
    *,
    alone: asking.Guest,
    limit_s: float,
    boot_s: float,
    types: Iterable[str] = (),
) -> bool:
    """The whole plan, what follows from accepted loads, the dangerous part, and what something held has refused.

    False at the time limit.
    """
    record = asking.Record(work / "answers.tsv")
    until = time.monotonic() + limit_s
    wanted = set(types)
    safe = [q for part in parts if part.name != plan.LAST for q in part.questions]
    last = [q for part in parts if part.name == plan.LAST for q in part.questions]

    def left() -> float:
        return until - time.monotonic()

    if not asking.ask(safe, record, guest, limit_s=left(), boot_s=boot_s):
        return False
    accepted = [q for q, answer in record.answers.items() if answer.errno == "0"]
    following = plan.followers(accepted)
    following = [part for part in following if not wanted or part.questions[0].type in wanted]
    write_plan(work / "plan.tsv", following)
    more = [q for part in following for q in part.questions]
    if not asking.ask([*more, *last], record, guest, limit_s=left(), boot_s=boot_s):
        return False
    again = in_the_way(record, plan.Files(work / "files"))
    for question in again:
        del record.answers[question]
    return asking.ask(again, record, alone, limit_s=left(), boot_s=boot_s)


def in_the_way(record: asking.Record, files: plan.Files) -> list[plan.Question]:
    """Refusals by a trampoline held for another function of the same name or address, to be asked alone.

    register_ftrace_direct answers EBUSY for a place that has a trampoline, 7.3 EINVAL; a function that ftrace does not
    list gets the same words elsewhere and is not asked again.
    """
    listed = {line.split()[0] for line in files.text("sys/kernel/tracing/available_filter_functions").splitlines()}
    places = {(address, module) for address, _, name, module in files.rows if name in listed}
    listed |= {name for address, _, name, module in files.rows if (address, module) in places}
    return [
        question
        for question, answer in record.answers.items()
        if answer.stage == "attach"
        and answer.errno in ("EBUSY", "EINVAL")
        and question.type.startswith(("fentry", "fexit", "fsession", "fmod_ret"))
        and question.target.rpartition(":")[2] in listed
    ]


def summary(record: asking.Record) -> str:
    """Answers by type and errno, a line each."""
    count: Counter[tuple[str, str]] = Counter()
    for question, answer in record.answers.items():
        word = "ok" if answer.errno == "0" else f"{answer.stage}:{answer.errno}"
        count[question.type, word] += 1
    lines = []
    for type_ in sorted({key[0] for key in count}):
        found = Counter({word: n for (t, word), n in count.items() if t == type_})
        lines.append(f"{type_:18} {sum(found.values()):7}  " + "  ".join(f"{w} {n}" for w, n in found.most_common(8)))
    return "\n".join([*lines, f"{'all':18} {sum(count.values()):7}"])


def sha256(path: Path) -> str:
    """A file's checksum in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog="python -m tests.vm record", description=(__doc__ or "").splitlines()[0])
    made.add_argument("-k", "--kernel", required=True, help="a name of the lab's table")
    made.add_argument("--arch", default=NATIVE.debian, choices=list(MACHINES), help="of the kernel (default amd64)")
    made.add_argument("--scale", type=float, default=1.0, help="size of the samples (default 1)")
    made.add_argument("--types", default="", help="only these types, by commas: kprobe,fentry_load")
    made.add_argument("--limit", type=float, default=36000, metavar="SECONDS", help="stop asking after this time")
    made.add_argument("--boot", type=float, default=BOOT_S, metavar="SECONDS", help="the longest life of one guest")
    made.add_argument("--prober", type=Path, help="a built prober instead of bpf/prober")
    made.add_argument("--prober-options", default=f"--hold {asking.BOOT_ATTACHMENTS} --stay", help="for the prober")
    made.add_argument("--dry", action="store_true", help="print the plan and its cost, ask nothing")
    made.add_argument("--snapshot-again", action="store_true", help="take the snapshot anew; answers stay")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when all is answered, 3 when the time limit came first."""
    from . import boot

    options = parser().parse_args(arguments)
    kernel = kernels.named(options.kernel, options.arch)
    os.nice(NICE)
    types = [name for name in options.types.split(",") if name]
    try:
        work = folder_of(kernel)
        work.mkdir(parents=True, exist_ok=True)
        if options.snapshot_again or not (work / "snapshot.tar.xz").exists():
            started = time.monotonic()
            take_snapshot(kernel, work)
            print(f"snapshot of {kernel} in {time.monotonic() - started:.0f} s", flush=True)
        parts = parts_of(kernel, work, options.scale, types)
        questions = sum(len(part.questions) for part in parts)
        seconds = sum(len(part.questions) * part.cost_ms for part in parts) / 1000
        if options.dry:
            for part in parts:
                count = len(part.questions)
                print(f"{part.name:32} {count:7} {count * part.cost_ms / 1000:7.0f} s  {part.how}")
        print(f"{kernel}: {questions} questions, about {seconds / 60:.0f} minutes", flush=True)
        if options.dry:
            return 0
        write_plan(work / "plan.tsv", parts)
        prober = options.prober or build_prober(work, boot.machine_of(kernel))
        (work / "prober.sha256").write_text(sha256(prober) + "\n")
        guest = LabGuest(kernel, work, prober, options.prober_options.split())
        alone = LabGuest(kernel, work, prober)  # holds nothing
        done = ask_all(parts, work, guest, alone=alone, limit_s=options.limit, boot_s=options.boot, types=types)
        print(summary(asking.Record(work / "answers.tsv")))
    except (asking.AskingFailed, LabError) as exc:
        print(f"record: {exc}", file=sys.stderr)
        return 2
    return 0 if done else 3


if __name__ == "__main__":
    sys.exit(main())
