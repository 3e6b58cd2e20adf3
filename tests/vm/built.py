"""Kernels that no distribution ships: small ones, compiled here without an option, booted, asked and recorded.

python -m tests.vm built compile [NAME …]     from Debian's linux-source, into the lab's cache
python -m tests.vm built ask [NAME …]         a snapshot and a few thousand questions to each, like `record`
python -m tests.vm built pack [NAME …]        into fixtures/built: NAME.tar.xz, NAME.tsv.xz, NAME.kernel.toml

All start from built.config over tinyconfig (make tinyconfig, scripts/kconfig/merge_config.sh). Needs the package
linux-source-6.12 (or PROBE_SCOUT_LINUX_SOURCE: its unpacked tree), gcc, make, flex, bison, bc, libelf-dev, pahole.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import asking, cache, plan, record
from .problems import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIG = Path(__file__).with_suffix(".config")
SOURCE = "/usr/src/linux-source-6.12.tar.xz"
FIXTURES = record.ROOT / "fixtures" / "built"
PREFIX = "built-"
SCALE = 0.02
QUESTIONS_OF_A_TYPE = 150
SEED = 20261128
LIMIT_S = 1800.0
_TRACER = ("FUNCTION_TRACER", "FUNCTION_GRAPH_TRACER", "DYNAMIC_FTRACE", "FPROBE")

_LEAN = (
    "FPROBE", "BPF_LSM", "FTRACE_SYSCALLS", "UPROBE_EVENTS", "MODULES", "DEBUG_INFO_BTF_MODULES",
    "FUNCTION_ERROR_INJECTION",
)  # fmt: skip


class Built(NamedTuple):
    """A kernel by what it is built without. `tree` names the folder it is compiled in: kernels of one differ little."""

    name: str
    tree: str
    without: tuple[str, ...]
    purpose: str


BUILT = {
    one.name: one
    for one in (
        Built("no-function-tracer", "plain", _TRACER, "ftrace can patch nothing: kprobes only"),
        Built("no-events", "plain", (*_TRACER, "KPROBE_EVENTS", "UPROBE_EVENTS"), "so no BPF_EVENTS: nothing traces"),
        Built("no-lsm", "plain", (*_TRACER, "BPF_LSM", "FUNCTION_ERROR_INJECTION", "FTRACE_SYSCALLS"), "no hooks"),
        Built("no-btf", "plain", (*_TRACER, "DEBUG_INFO_BTF", "KALLSYMS_ALL", "MODULES"), "no types, no data symbols"),
        Built("no-kallsyms", "plain", (*_TRACER, "KPROBES", "KALLSYMS", "KALLSYMS_ALL"), "no symbols at all"),
        Built("no-jit", "plain", (*_TRACER, "BPF_JIT"), "no trampolines"),
        Built("base", "traced", (), "with everything: what the others are compared with"),
        Built("no-fprobe", "traced", ("FPROBE",), "ftrace without fprobe: no kprobe.multi"),
        Built("no-jit-traced", "traced", ("BPF_JIT",), "ftrace without trampolines"),
        Built("no-kprobes", "traced", ("KPROBES", "KALLSYMS_ALL"), "ftrace without kprobes, no data symbols"),
        Built("lean", "traced", _LEAN, "ftrace, kprobes and trampolines alone"),
        Built("no-btf-traced", "traced", ("DEBUG_INFO_BTF",), "ftrace without types"),
    )
}


def home(name: str) -> Path:
    """Where the lab keeps a compiled kernel: as a fetched one."""
    return cache.root() / "kernels" / f"{PREFIX}{name}"


def source_tree() -> Path:
    """The kernel's source, unpacked. Raises LabError that says what to install."""
    given = os.environ.get("PROBE_SCOUT_LINUX_SOURCE")
    if given:
        return Path(given).absolute()
    folder = cache.root() / "source"
    tree = folder / "linux-source-6.12"
    if not tree.exists():
        if not Path(SOURCE).exists():
            raise LabError(f"no {SOURCE}: apt-get install linux-source-6.12, or set PROBE_SCOUT_LINUX_SOURCE")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "xf", SOURCE, "-C", str(folder)], check=True)
    return tree


def compile_one(one: Built, jobs: int) -> None:
    """Configure and build one kernel, and put it where fetched ones are. Raises LabError."""
    source, target = source_tree(), cache.root() / "built" / one.tree
    target.mkdir(parents=True, exist_ok=True)
    fragment = target / "fragment"
    fragment.write_text(
        CONFIG.read_text()
        + "".join(f"# CONFIG_{option} is not set\n" for option in one.without)
        + f'CONFIG_LOCALVERSION="-{one.name}"\n'
    )
    make = ["make", "-s", "-C", str(source), "ARCH=x86_64", f"O={target}"]
    _run(*make, "tinyconfig")
    merge = [str(source / "scripts/kconfig/merge_config.sh"), "-m", "-O", str(target), str(target / ".config")]
    _run(*merge, str(fragment), cwd=source)
    _run(*make, "olddefconfig")
    set_anyway = [o for o in one.without if f"\nCONFIG_{o}=" in (target / ".config").read_text()]
    if set_anyway:
        raise LabError(f"{one.name}: another option selects {', '.join(set_anyway)}")
    _run(*make, f"-j{jobs}", "bzImage")
    keep(one.name, target / "arch/x86/boot/bzImage", target / ".config", target / "include/config/kernel.release")


def keep(name: str, image: Path, config: Path, release: Path) -> None:
    """Put a built kernel where the lab finds it; the file `release` comes last."""
    folder = home(name)
    word = release.read_text().strip()
    (folder / "tree" / "lib" / "modules" / word).mkdir(parents=True, exist_ok=True)
    shutil.copy2(image, folder / "vmlinuz")
    shutil.copy2(config, folder / "config")
    (folder / "packages").write_text("linux-source-6.12 compiled\n")
    (folder / "release").write_text(word + "\n")


def _run(*words: str, cwd: Path | None = None) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(words)[:120]} failed: {(done.stderr or done.stdout)[-600:]}")


def questions_of(work: Path) -> list[plan.Question]:
    """A seeded sample of the plan for this kernel's files, at most QUESTIONS_OF_A_TYPE of a type; no dangerous ones."""
    found: dict[str, list[plan.Question]] = {}
    for part in plan.plan(plan.Files(work / "files"), full=False, scale=SCALE):
        if part.name != plan.LAST:
            for question in part.questions:
                found.setdefault(question.type, []).append(question)
    chosen = []
    for type_, questions in sorted(found.items()):
        draw = random.Random(f"{SEED} {type_}")
        chosen += questions if len(questions) <= QUESTIONS_OF_A_TYPE else draw.sample(questions, QUESTIONS_OF_A_TYPE)
    return chosen


def ask(name: str) -> bool:
    """Snapshot and answers of one compiled kernel, below `recorded/built-NAME` of the cache; False at the limit."""
    kernel = PREFIX + name
    work = record.folder_of(kernel)
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "snapshot.tar.xz").exists():
        record.take_snapshot(kernel, work)
    prober = record.build_prober(work)
    guest = record.LabGuest(kernel, work, prober, ["--hold", "200", "--stay"])
    answers = asking.Record(work / "answers.tsv")
    done = asking.ask(questions_of(work), answers, guest, limit_s=LIMIT_S, boot_s=record.BOOT_S)
    print(record.summary(answers))
    return done


def pack(name: str) -> None:
    """The recording of one compiled kernel into fixtures/built."""
    from tests.oracle import recorded

    from .pack import archive, lean_manifest, read_members

    work, one = record.folder_of(PREFIX + name), BUILT[name]
    members = read_members(work / "snapshot.tar.xz")
    members["manifest.json"] = lean_manifest(members["manifest.json"])
    FIXTURES.mkdir(parents=True, exist_ok=True)
    (FIXTURES / f"{name}.tar.xz").write_bytes(archive(members))
    given = asking.read(work / "answers.tsv")
    rows = [(q.target, recorded.Answer(q.type, q.more, a.errno, a.stage)) for q, a in given]
    (FIXTURES / f"{name}.tsv.xz").write_bytes(recorded.pack(rows))
    lines = [
        f"without = [{', '.join(record.quoted(option) for option in one.without)}]",
        'source = "Debian linux-source-6.12, tinyconfig and tests/vm/built.config"',
        (work / "guest.toml").read_text().rstrip(),
        f"answers = {len(rows)}",
    ]
    (FIXTURES / f"{name}.kernel.toml").write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(rows)} answers, {(FIXTURES / f'{name}.tar.xz').stat().st_size:,} bytes of snapshot")


def main(words: Sequence[str] | None = None) -> int:
    """The command; 0, 2 for an error, 3 when the time limit came first."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm built", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("verb", choices=("list", "compile", "ask", "pack"))
    parser.add_argument("name", nargs="*", help=f"of {', '.join(BUILT)}; none: all")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args(words)
    names = asked.name or list(BUILT)
    try:
        for name in names:
            if name not in BUILT:
                raise LabError(f"no kernel {name!r} is built here: {', '.join(BUILT)}")
            one = BUILT[name]
            if asked.verb == "list":
                there = cache.find(PREFIX + name)
                print(f"{name:20}{there.release if there else '-':32}{one.purpose}")
            elif asked.verb == "compile":
                compile_one(one, asked.jobs)
            elif asked.verb == "ask":
                if not ask(name):
                    return 3
            else:
                pack(name)
    except (asking.AskingFailed, LabError) as error:
        print(f"built: {error}", file=sys.stderr)
        return 2
    return 0
