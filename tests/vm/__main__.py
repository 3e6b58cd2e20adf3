"""The lab's command: python -m tests.vm fetch | list | run | record | pack | … (OTHERS)."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from . import boot, cache, fetch
from .kernels import KERNELS, named
from .machines import MACHINES, NATIVE
from .problems import LabError

CONSOLE_LINES = 25
# Commands with options of their own: name to module.
OTHERS = {
    "record": "record",
    "pack": "pack",
    "compare-shared": "compare_shared",
    "smoke": "smoke",
    "fields": "fields",
    "contexts": "contexts",
    "places": "places",
    "built": "built",
}


def main(args: list[str] | None = None) -> int:
    """The exit code: the guest command's own; 124 time limit, 125 lab error, 126 the guest ended without a status."""
    words = sys.argv[1:] if args is None else args
    boot.interrupt_on_signals()
    try:
        if words[:1] and words[0] in OTHERS:
            return int(importlib.import_module(f"tests.vm.{OTHERS[words[0]]}").main(words[1:]))
        asked = _parser().parse_args(words)
        return int(asked.do(asked))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return boot.LAB_ERROR
    except KeyboardInterrupt:
        print("lab: interrupted; the guest is ended", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.vm", description="Boot Debian kernels and run commands in them."
    )
    verbs = parser.add_subparsers(required=True, metavar="fetch|list|run|" + "|".join(OTHERS))
    fetching = verbs.add_parser("fetch", help="download kernels into the cache")
    fetching.add_argument("kernel", nargs="*", help="names of the table; none: all")
    fetching.add_argument("--arch", default="", choices=list(MACHINES), help="only the kernels of this one")
    fetching.add_argument("--force", action="store_true", help="fetch anew")
    fetching.set_defaults(do=_fetch)
    listing = verbs.add_parser("list", help="kernels known, and what is cached")
    listing.set_defaults(do=_list)
    running = verbs.add_parser("run", help="boot a kernel and run a command in it as root")
    add = running.add_argument
    add("-k", "--kernel", required=True, help="a name of the table; fetched if it is not there")
    add("--arch", default=NATIVE.debian, choices=list(MACHINES), help="-k 6.12 --arch arm64 is -k 6.12-arm64")
    add("-M", "--module", action="append", default=[], help="load a module first; `usual`: those of recordings")
    add("-a", "--append", action="append", default=[], metavar="TEXT", help="more kernel command line")
    add("-e", "--env", action="append", default=[], metavar="NAME=VALUE")
    add("-s", "--share", action="append", default=[], metavar="GUEST=HERE", help="a copy of a file or folder")
    add("-o", "--out", type=Path, help="folder that receives what the guest writes below /out")
    add("--live", type=Path, help="file that receives at once what the guest writes to $LAB_LIVE")
    add("--tool", action="store_true", help="probe-scout of this checkout is in the guest")
    add("--with", dest="programs", action="append", default=[], metavar="PROGRAM", help="bpftool, bpftrace, perf")
    add("--without", action="append", default=[], metavar="MOUNT", help="tracefs, debugfs, bpf, securityfs, cgroup2")
    add("--cwd", default="/")
    add("--memory", type=int, default=2048, metavar="MB")
    add("--cpus", type=int, default=1)
    add("--timeout", type=float, default=600.0, metavar="SECONDS")
    add("--kaslr", action="store_true", help="addresses differ from boot to boot")
    add("--console", action="store_true", help="print what the kernel printed")
    add("--timing", action="store_true")
    add("command", nargs="+")
    running.set_defaults(do=_run)
    return parser


def _fetch(asked: argparse.Namespace) -> int:
    all_of = [name for name, kernel in KERNELS.items() if asked.arch in ("", kernel.arch.debian)]
    for name in asked.kernel or all_of:
        fetch.fetch(named(name, asked.arch), asked.force)
    return 0


def _list(asked: argparse.Namespace) -> int:
    for kernel in KERNELS.values():
        found = cache.find(kernel.name)
        print(f"{kernel.name:14}{kernel.suite:18}{found.release if found else '-':28}{kernel.purpose}")
    return 0


def _run(asked: argparse.Namespace) -> int:
    kernel = named(asked.kernel, asked.arch)
    fetch.fetch(kernel, say=lambda text: print(f"lab: {text}", file=sys.stderr))
    usual = KERNELS[kernel].modules if kernel in KERNELS else ()
    ended = boot.run(
        kernel,
        asked.command,
        share=dict(pair.split("=", 1) if "=" in pair else ("/host", pair) for pair in asked.share),
        out=asked.out,
        modules=[name for word in asked.module for name in (usual if word == "usual" else (word,))],
        append=asked.append,
        env=asked.env,
        timeout_s=asked.timeout,
        memory_mb=asked.memory,
        cpus=asked.cpus,
        live=asked.live,
        kaslr=asked.kaslr,
        cwd=asked.cwd,
        tool=asked.tool,
        programs=asked.programs,
        without=asked.without,
        echo=True,
    )
    for note in ended.notes:
        print(f"lab: {note}", file=sys.stderr)
    no_status = {boot.TIME_LIMIT: "time limit", boot.PANIC: "the guest ended without a status"}.get(ended.status)
    if asked.console or no_status:
        lines = ended.console.splitlines()
        print(*(lines if asked.console else lines[-CONSOLE_LINES:]), sep="\n", file=sys.stderr)
    if no_status:
        print(f"lab: {no_status}; the end of the kernel's console is above", file=sys.stderr)
    if asked.timing:
        at = "never" if ended.command_at_s is None else f"{ended.command_at_s:.1f} s"
        print(f"lab: command at {at}, wall {ended.wall_s:.1f} s, status {ended.status}", file=sys.stderr)
    return ended.status


if __name__ == "__main__":
    sys.exit(main())
