"""The commands and their options, by typer. A command only says what was asked; run.py does it.

typer is given str, bool and list[str] and converts nothing: conversion is request.build. Every
command returns a Request, so this file and the fast road (request.read_fast) can be compared.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import typer

from ...errors import UsageError
from ...model.attach import ATTACH_TYPES
from ...model.version import __version__
from . import streams
from .request import (
    ANSWERS,
    COLORS,
    COVERAGES,
    FORMATS,
    KINDS,
    LEADING_FLAGS,
    LEADING_VALUES,
    LEVELS,
    MATRIX_FORMATS,
    PAGES,
    PARTS,
    SHELLS,
    SORTS,
    Request,
    build,
    command_first,
)

app = typer.Typer(
    name="probe-scout",
    help="Say, offline, whether a kernel accepts a BPF probe, why not, and what instead.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="""\b
Exit code: 0 yes, 1 no, 2 usage, 3 cannot tell, 4 a source is broken.
Examples:
  probe-scout check vfs_read
  probe-scout check --help""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

_Made = TypeVar("_Made", bound=Callable[..., Request])


def _command(*examples: str) -> Callable[[_Made], _Made]:
    """A command whose page ends with examples; in the list of commands its first sentence is never cut."""
    lines = "".join(f"\n  probe-scout {line}" for line in examples)

    def add(function: _Made) -> _Made:
        says = (function.__doc__ or "").partition("\n")[0]
        app.command(short_help=says, epilog=f"\b\nExamples:{lines}")(function)
        return function

    return add


Root = Annotated[
    str,
    typer.Option(
        "--root", metavar="PATH", help="Snapshot, mounted root, or a kernel's package or image; else this machine."
    ),
]
Modules = Annotated[
    str,
    typer.Option(
        "--modules", metavar="LIST", help="Loaded in a kernel that was not booted: none, all, NAME,NAME, @FILE."
    ),
]
Types = Annotated[
    list[str],
    typer.Option(
        "--type", metavar="TYPE", help=f"Repeat it or separate with commas. One of: {', '.join(ATTACH_TYPES)}."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document, the same as --format json.")]
Format = Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="How to print the answer.")]
Color = Annotated[str, typer.Option("--color", metavar="|".join(COLORS), help="NO_COLOR and FORCE_COLOR are honoured.")]
AsMe = Annotated[bool, typer.Option("--as-me", help="Judge with the rights of the caller instead of full rights.")]
Caps = Annotated[
    str,
    typer.Option("--caps", metavar="LIST", help="Judge for these capabilities, with commas; none; token, a BPF token."),
]
Unprivileged = Annotated[bool, typer.Option("--unprivileged", help="Judge for a caller without capabilities.")]
Vmlinux = Annotated[str, typer.Option("--vmlinux", metavar="FILE", help="vmlinux with debug information, same build.")]
Debug = Annotated[str, typer.Option("--debug", metavar="FILE", help="vmlinux or module with debug information.")]


@app.callback(invoke_without_command=True)
def frame(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    root: Root = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request | None:
    # Options of the command that follows; command_first has put them behind it, so that none has a value here.
    if version:
        streams.put(f"probe-scout {__version__}\n")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        streams.say(context.get_help() + "\n")
        raise typer.Exit(2)
    return None


@_command("check vfs_read", "check tp:sched:sched_switch syscall:execve --type tp --json")
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", show_default=False)] = None,
    types: Types = [],  # noqa: B006  typer reads the default and never changes it
    all_types: Annotated[bool, typer.Option("--all-types", help="Count and explain every attach type.")] = False,
    any_yes: Annotated[bool, typer.Option("--any", help="Exit with 0 if each name takes one of the types.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also evidence, rule ids, other types, how to write the name.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing: the exit code is the answer.")] = False,
    names_from: Annotated[str, typer.Option("--from", metavar="FILE", help="Names out of a file, - for stdin.")] = "",
    target: Annotated[str, typer.Option("--target", metavar="PLACE", help="Where the program is that calls.")] = "",
    pid: Annotated[str, typer.Option("--pid", metavar="PID", help="The one process a user probe is for.")] = "",
    root: Root = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
    as_me: AsMe = False,
    vmlinux: Vmlinux = "",
    debug: Debug = "",
    caps: Caps = "",
    unprivileged: Unprivileged = False,
) -> Request:
    """Say which attach types the kernel accepts, and why not.

    NAME is vfs_read, MODULE:FUNCTION, FUNCTION+OFFSET, tp:CATEGORY:EVENT or syscall:NAME, or as libbpf, bpftrace
    and perf write it; /PATH:SYMBOL, libssl:SSL_write, pid:PID:SYMBOL or usdt:/PATH:PROVIDER:PROBE in a program or
    library; a pattern such as 'tcp_*'; @FILE or - for a list, a name in each line. helper:NAME and call:NAME
    ask whether programs of --type may call a helper or kfunc, at --target; TYPE is then a program type too.

    Exit code: 0 every answer is yes, 1 at least one no, 2 usage, 3 cannot tell, 4 a source is broken. Without --type
    the answers for kprobe, kprobe.multi, fentry and their returns count, as far as this kernel knows them.
    """
    return build("check", **{**locals(), "names": names or ()})


@_command("inline vfs_fsync_range", "inline --all 'vfs_*' --class full")
def inline(
    name: Annotated[str, typer.Argument(metavar="[NAME]", show_default=False)] = "",
    debug: Debug = "",
    all: Annotated[bool, typer.Option("--all", help="Every function of the file; NAME is then a pattern.")] = False,
    kind: Annotated[
        list[str], typer.Option("--class", metavar="CLASS", help="With --all, only functions of this class; repeat it.")
    ] = [],  # noqa: B006
    root: Root = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """Say where a function was inlined and which calls a probe on it misses.

    NAME is as the source has it, MODULE:NAME, or /PATH:NAME of a program or library.
    Needs debug information: a debug package, or --debug FILE.

    Exit code: 0 no call is inlined away, 1 some are, 2 usage, 3 cannot tell, 4 a source is broken.
    """
    return build(
        "inline",
        modules=modules,
        names=[name] if name or not all else ["*"],
        debug=debug,
        whole=all,
        classes=kind,
        root=root,
        json=json,
        format=format,
        color=color,
    )


@_command("lint prog.bpf.o", "lint --requires prog.bpf.o", "lint prog.bpf.o --root old.tar.xz --root new.tar.xz")
def lint(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", show_default=False)],
    roots: Annotated[
        list[str], typer.Option("--root", metavar="PATH", help="A kernel, as for check; repeat it for several.")
    ] = [],  # noqa: B006
    libbpf: Annotated[
        str, typer.Option("--libbpf", metavar="RELEASE", help="The loader's release; 1.8 if left out.")
    ] = "",
    only: Annotated[str, typer.Option("--program", metavar="NAME", help="One program of each object.")] = "",
    requires: Annotated[
        bool, typer.Option("--requires", help="What the objects ask of any kernel, as JSON; no kernel is read.")
    ] = False,
    outputs: Annotated[
        list[str],
        typer.Option("--output", metavar="FORMAT=FILE", help="Write this format there as well; repeat it."),
    ] = [],  # noqa: B006
    modules: Modules = "",
    json: Json = False,
    format: Annotated[
        str, typer.Option("--format", metavar="|".join(MATRIX_FORMATS), help="How to print the answer.")
    ] = "",
    color: Color = "auto",
) -> Request:
    """Say whether compiled BPF objects open, relocate, load and attach on these kernels, program by program.

    FILE is an object, an executable with embedded objects, an ar archive, a Debian package, a folder, or - for standard
    input. The verifier's check of a program's logic is not repeated: yes means that nothing else refuses it.

    Exit code: 0 every answer is yes, 1 at least one no, 2 usage, 3 cannot tell, 4 a file holds no object or is broken.
    """
    return build(
        "lint",
        modules=modules,
        names=files,
        roots=roots,
        libbpf=libbpf,
        only=only,
        requires=requires,
        outputs=outputs,
        json=json,
        format=format,
        color=color,
    )


@_command("features", "features --root linux-image.deb --json")
def features(
    root: Root = "",
    vmlinux: Vmlinux = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
    caps: Caps = "",
    unprivileged: Unprivileged = False,
) -> Request:
    """List the program, map, attach and link types of a kernel, and which helpers each type of program may call.

    Helpers are exact where the kernel's image is there: --root vmlinuz or a package, --vmlinux, or /boot.

    Exit code: 0, 2 usage, 3 types cannot be read, 4 a source is broken.
    """
    return build("features", **locals())


@_command("kfunc bpf_task_acquire", "kfunc 'bpf_iter_*' --type fentry --root vmlinuz")
def kfunc(
    glob: Annotated[str, typer.Argument(metavar="[NAME|GLOB]", show_default=False)] = "*",
    types: Types = [],  # noqa: B006
    root: Root = "",
    vmlinux: Vmlinux = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
    caps: Caps = "",
    unprivileged: Unprivileged = False,
) -> Request:
    """Say which kfuncs a kernel has, with prototype and flags, and which programs may call them.

    Flags and program types are in the kernel's image: --root vmlinuz or a package, --vmlinux, or /boot.

    Exit code: 0 there, 1 not there, 2 usage, 4 a source is broken; with --type 0 every answer is yes, 1 at least one
    no, 3 cannot tell.
    """
    return build(
        "kfunc",
        caps=caps,
        unprivileged=unprivileged,
        modules=modules,
        names=[glob],
        types=types,
        root=root,
        vmlinux=vmlinux,
        json=json,
        format=format,
        color=color,
    )


@_command("context vfs_read --type fentry", "context xdp --root vmlinuz", "context struct_ops:tcp_congestion_ops")
def context(
    target: Annotated[str, typer.Argument(metavar="TARGET", show_default=False)],
    types: Types = [],  # noqa: B006
    root: Root = "",
    vmlinux: Vmlinux = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
    caps: Caps = "",
    unprivileged: Unprivileged = False,
) -> Request:
    """Say what a program gets there: ctx, each field and argument, what it may read, write, call and return.

    TARGET is a function, event or system call as for check; a program type: xdp, sched_cls, cgroup_skb, syscall; a
    section of libbpf: tcx/ingress; or struct_ops:NAME. Which fields and calls are allowed is exact where the kernel's
    image is there: --root vmlinuz or a package, --vmlinux, or /boot.

    Exit code: 0, 1 refused there or nothing there, 2 usage, 3 something is unknown, 4 a source is broken.
    """
    return build(
        "context",
        caps=caps,
        unprivileged=unprivileged,
        names=[target],
        types=types,
        root=root,
        vmlinux=vmlinux,
        modules=modules,
        json=json,
        format=format,
        color=color,
    )


@_command("survey", "survey /usr/lib/debug/boot/vmlinux-6.12.0")
def survey(
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILE...]", show_default=False)] = None,
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """List the kernels whose inlining is known; with FILE, add a kernel of your own.

    FILE is a vmlinux or a module with debug information, or a survey made elsewhere. It is read once, a vmlinux in
    some 10 seconds.

    Exit code: 0, 2 usage, 4 a file holds no debug information or is broken.
    """
    return build("survey", names=files or (), json=json, format=format, color=color)


@_command("scan 'tcp_*'", "scan 'vfs_*' --type fentry,kprobe --answer no --format csv")
def scan(
    globs: Annotated[list[str] | None, typer.Argument(metavar="[GLOB]...", show_default=False)] = None,
    types: Types = [],  # noqa: B006
    answer: Annotated[
        str, typer.Option("--answer", metavar="|".join(ANSWERS), help="Only functions with this answer.")
    ] = "",
    without: Annotated[
        list[str], typer.Option("--not", metavar="GLOB", help="Leave these functions out; repeat it.")
    ] = [],  # noqa: B006
    args: Annotated[
        list[str], typer.Option("--arg", metavar="TYPE", help="Only with a parameter of this C type; repeat it.")
    ] = [],  # noqa: B006
    returns: Annotated[str, typer.Option("--returns", metavar="TYPE", help="Only what returns this C type.")] = "",
    coverage: Annotated[
        str, typer.Option("--coverage", metavar="|".join(COVERAGES), help="Only where a probe sees so many calls.")
    ] = "",
    sort: Annotated[str, typer.Option("--sort", metavar="|".join(SORTS), help="The order of rows.")] = "",
    limit: Annotated[str, typer.Option("--limit", metavar="N", help="No more rows than these.")] = "",
    pid: Annotated[
        str, typer.Option("--pid", metavar="PID", help="Functions of the files that this process runs.")
    ] = "",
    root: Root = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
    caps: Caps = "",
    unprivileged: Unprivileged = False,
) -> Request:
    """Answer for every function that matches a GLOB.

    GLOB is a pattern such as 'vfs_*', also MODULE:PATTERN. Columns are attach types; cells yes, no with its errno,
    unknown, - where a type does not apply; rows come in the order of the symbol table.

    Exit code: 0 there are rows, 1 nothing matches, 2 usage, 3 something could not be read, 4 a source is broken.
    """
    return build(
        "scan",
        caps=caps,
        pid=pid,
        unprivileged=unprivileged,
        modules=modules,
        names=globs or ["*"],
        types=types,
        root=root,
        json=json,
        format=format,
        color=color,
        answer=answer,
        without=without,
        args=args,
        returns=returns,
        coverage=coverage,
        sort=sort,
        limit=limit,
    )


@_command("tracepoint sched:sched_switch", "tracepoint sched:sched_switch --reads 24:4")
def tracepoint(
    glob: Annotated[str, typer.Argument(metavar="[GLOB]", show_default=False)] = "*",
    reads: Annotated[
        list[str],
        typer.Option("--reads", metavar="OFFSET:SIZE", help="Say whether a tp program may load this; repeat it."),
    ] = [],  # noqa: B006
    fields: Annotated[bool, typer.Option("--fields", help="The fields of every event in a list.")] = False,
    root: Root = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """List events; for one event, its fields and arguments.

    A field has an offset, a size, and whether a program may read it, and if not, why.

    Exit code: 0 there are events, 1 nothing matches, 2 usage, 3 something could not be read, 4 a source is broken; with
    --reads 0 every load is accepted, 1 one is refused, 3 cannot tell.
    """
    return build(
        "tracepoint",
        modules=modules,
        names=[glob],
        root=root,
        json=json,
        format=format,
        color=color,
        reads=reads,
        fields=fields,
    )


@_command("audit", "audit --diff yesterday.json --fail-on warning --quiet")
def audit(
    owner: Annotated[str, typer.Option("--owner", metavar="PID", help="Only what this process holds.")] = "",
    target: Annotated[
        str, typer.Option("--target", metavar="GLOB", help="Only targets that match: a function, event, path, device.")
    ] = "",
    net: Annotated[bool, typer.Option("--net", help="Look at the interfaces of every network namespace.")] = False,
    no_net: Annotated[bool, typer.Option("--no-net", help="Never look at interfaces.")] = False,
    old: Annotated[
        str, typer.Option("--diff", metavar="OLD.json", help="Only what changed since this audit --json.")
    ] = "",
    fail_on: Annotated[
        str,
        typer.Option("--fail-on", metavar="|".join(LEVELS), help="Exit with 1 for findings this bad or worse."),
    ] = "",
    allow: Annotated[
        str, typer.Option("--allow", metavar="FILE", help="Exit with 1 for what no line of this list has.")
    ] = "",
    accept_unread: Annotated[
        list[str], typer.Option("--accept-unread", metavar="FACT", help="Do not exit with 3 because of this.")
    ] = [],  # noqa: B006
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing where the exit code is 0.")] = False,
    watch: Annotated[
        str, typer.Option("--watch", metavar="SECONDS", help="Again and again, at least so many seconds apart.")
    ] = "",
    bpftool: Annotated[
        bool, typer.Option("--bpftool", help="Ask an installed bpftool as well, and tell where it differs.")
    ] = False,
    root: Root = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """Show everything that is attached, by whom, and what is not sound about it.

    BPF by links, perf events, cgroups, interfaces; dynamic events, kprobes, ftrace users and live patches.

    Exit code: 0, 1 with --fail-on, --diff or --allow, 2 usage, 3 something may not be seen, 4 a source is broken.
    """
    return build("audit", **locals())


@_command("verify vfs_read --dry", "verify vfs_read --type kprobe,fentry")
def verify(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False)],
    types: Types = [],  # noqa: B006
    dry: Annotated[bool, typer.Option("--dry", help="Say what would be done, and touch nothing.")] = False,
    limit: Annotated[
        str, typer.Option("--limit", metavar="N", help="Most targets that a single call may name; 64 if left out.")
    ] = "",
    as_me: Annotated[
        bool, typer.Option("--as-me", help="Judge and ask with the rights of the caller: a refusal is an answer.")
    ] = False,
    root: Annotated[str, typer.Option("--root", metavar="PATH", help="Only this machine can be asked.")] = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """Ask the running kernel for real and compare with check. Attaches for a moment; needs root.

    NAME as for check, or a glob. Each program does nothing and is detached at once.

    Exit code: 0 the kernel agrees, 1 a difference, 2 usage, 3 something could not be asked, 4 a source is broken.
    """
    return build("verify", **locals())


@_command("diff old.tar.xz new.tar.xz 'vfs_*'", "diff live new.tar.xz --kind events --all")
def diff(
    root_a: Annotated[str, typer.Argument(metavar="ROOT_A", show_default=False)],
    root_b: Annotated[str, typer.Argument(metavar="ROOT_B", show_default=False)],
    glob: Annotated[str, typer.Argument(metavar="[GLOB]", show_default=False)] = "",
    types: Types = [],  # noqa: B006
    kind: Annotated[
        list[str], typer.Option("--kind", metavar="|".join(KINDS), help="Only functions or only events.")
    ] = [],  # noqa: B006
    all: Annotated[bool, typer.Option("--all", help="Every difference, also without a pattern.")] = False,
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """Say what differs between two kernels: functions and events.

    ROOT is as for --root; "live" is this machine. Gone, appeared, renamed by the compiler; arguments,
    fields, verdicts. Without GLOB a summary.

    Exit code: 0 nothing differs, 1 something does, 2 usage, 3 something could not be read, 4 a source is broken.
    """
    if not root_a or not root_b:
        raise UsageError("an empty ROOT names no kernel; this machine is live")
    return build(
        "diff",
        modules=modules,
        names=[root_a, root_b, glob],
        types=types,
        kinds=kind,
        whole=all,
        json=json,
        format=format,
        color=color,
    )


@_command("stub sched:sched_switch", "stub vfs_read --attach fentry --lang rust")
def stub(
    names: Annotated[list[str], typer.Argument(metavar="EVENT...", show_default=False)],
    lang: Annotated[str, typer.Option("--lang", metavar="LANGUAGE", help="c, rust, go, python or bpftrace.")] = "c",
    attach: Annotated[
        str,
        typer.Option(
            "--attach",
            metavar="TYPE",
            help="tp, raw_tp, tp_btf; fentry, fexit, kprobe, kretprobe, ksyscall; uprobe, uretprobe, usdt.",
        ),
    ] = "",
    core: Annotated[bool, typer.Option("--core", help="C that is relocated when it is loaded, from BTF.")] = False,
    program: Annotated[bool, typer.Option("--program", help="A whole program that loads as it stands.")] = False,
    package: Annotated[str, typer.Option("--package", metavar="NAME", help="Go: of the file; else events.")] = "",
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Go: of the struct; else by the target.")] = "",
    debug: Annotated[str, typer.Option("--debug", metavar="FILE", help="Debug information of a program.")] = "",
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="Write there; - is standard output.")] = "",
    root: Root = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """Write the struct that a program on an event or a function sees, as source text.

    EVENT is sched:sched_switch, a glob, a function, /PATH:SYMBOL or usdt:/PATH:PROVIDER:PROBE.
    Offsets and sizes are asserted where the text is compiled.

    Exit code: 0 written, 1 a target is not there or takes no such program, 2 usage, 3 cannot tell, 4 a source is
    broken.
    """
    return build("stub", **locals())


Roots = Annotated[
    list[str],
    typer.Option("--root", metavar="PATH", help="A kernel, as for check, or a folder of snapshots; repeat it."),
]


@_command("matrix", "matrix hooks.txt --root old.tar.xz --root new.tar.xz --format md")
def matrix(
    hooks: Annotated[str, typer.Argument(metavar="[HOOKS]", show_default=False)] = "",
    roots: Roots = [],  # noqa: B006
    outputs: Annotated[
        list[str],
        typer.Option("--output", metavar="FORMAT=FILE", help="Write this format there as well; repeat it."),
    ] = [],  # noqa: B006
    modules: Modules = "",
    json: Json = False,
    format: Annotated[
        str, typer.Option("--format", metavar="|".join(MATRIX_FORMATS), help="How to print the answer.")
    ] = "",
    color: Color = "auto",
) -> Request:
    """Hooks on kernels: the best way to attach each hook on each kernel, or why there is none.

    HOOKS is a probe-scout.toml (the file of this folder if left out), a list with a target or alternative targets in
    each line, or - for standard input. Kernels are those of --root, else those that the file names, else this machine.

    Exit code: 0 every hook that must attach does, 1 one does not, 2 usage, 3 cannot tell, 4 a source is broken.
    """
    return build(
        "matrix", modules=modules, names=[hooks], roots=roots, outputs=outputs, json=json, format=format, color=color
    )


@_command("report -o page.html", "report hooks.txt --root snapshots/ -o page.html")
def report(
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="The page to write; - is standard output.")],
    hooks: Annotated[str, typer.Argument(metavar="[HOOKS]", show_default=False)] = "",
    roots: Roots = [],  # noqa: B006
    modules: Modules = "",
    page: Annotated[str, typer.Option("--page", metavar="|".join(PAGES), help="Which page; matrix if left out.")] = "",
) -> Request:
    """Write the matrix of hooks and kernels as one HTML page that needs no network.

    HOOKS and --root are as for matrix. Each cell leads to its reasons. --page audit: what is attached to each kernel;
    --page diff: what differs between two, and HOOKS is a pattern.

    Exit code: 0 written, 2 usage, 3 nothing could be answered, 4 a source is broken.
    """
    return build("report", modules=modules, names=[hooks], roots=roots, out=out, page=page)


@_command("fleet add snapshots/ --jobs 4", "fleet ask 'tcp_*' --type fentry --answer no")
def fleet(
    words: Annotated[list[str], typer.Argument(metavar="ACTION [WORD]...", show_default=False)],
    store: Annotated[
        str, typer.Option("--store", metavar="FILE", help="The fleet's file; fleet.sqlite if left out.")
    ] = "",
    types: Types = [],  # noqa: B006
    answer: Annotated[
        str, typer.Option("--answer", metavar="|".join(ANSWERS), help="With ask, only what has this answer.")
    ] = "",
    jobs: Annotated[str, typer.Option("--jobs", metavar="N", help="With add, so many processes; 1 if left out.")] = "",
    parquet: Annotated[
        str, typer.Option("--parquet", metavar="FILE", help="With export, a Parquet file; needs the package pyarrow.")
    ] = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """Keep the answers for every function of many builds in one file, and ask across builds.

    add SNAPSHOT...; list; ask FUNCTION or ask PATTERN; diff BUILD BUILD [PATTERN]; export; hosts; unowned;
    upgrade BUILD BUILD. BUILD is a release or the
    beginning of a build-id.

    Exit code: 0, 1 a no, a difference or no match, 2 usage, 3 cannot tell, 4 a snapshot or the file is broken.
    """
    return build(
        "fleet",
        modules=modules,
        names=words,
        store=store,
        types=types,
        answer=answer,
        jobs=jobs,
        parquet=parquet,
        json=json,
        format=format,
        color=color,
    )


@_command("rules", "rules symbol_lookup.ambiguous")
def rules(
    rule: Annotated[
        str, typer.Argument(metavar="[ID|GROUP]", show_default=False, help="As symbol_lookup.ambiguous, or audit.")
    ] = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """List the rules, or explain one.

    A rule says one reason for a no, which kernel function decides it, and since when. Findings that refuse nothing
    (silent, doctor, hazard, events, audit) are listed by their group.

    Exit code: 0, 2 usage (also a rule that does not exist).
    """
    return build("rules", names=[rule] if rule else [], json=json, format=format, color=color)


@_command("doctor", "doctor --root host.tar.xz")
def doctor(
    root: Root = "",
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
    hooks: Annotated[str, typer.Option("--for", metavar="HOOKS", help="Say what these hooks need, with commas.")] = "",
) -> Request:
    """Say what can be read here, and what would open the rest.

    Exit code: 0, also where little can be read; 2 usage, 4 a source is broken.
    """
    return build("doctor", **locals())


@_command("snapshot -o host.tar.xz", "snapshot -o - --root /mnt")
def snapshot(
    out: Annotated[
        str,
        typer.Option("-o", "--out", metavar="FILE", help="A .tar.xz, .tar.gz or .tar; - is standard output."),
    ],
    root: Annotated[
        str,
        typer.Option("--root", "--from", metavar="PATH", help="Whose: as for other commands; also a package or image."),
    ] = "",
    with_code: Annotated[
        bool, typer.Option("--with-code", help="Also save the machine code that rules look at.")
    ] = False,
    keep_addresses: Annotated[bool, typer.Option("--keep-addresses", help="Keep absolute kernel addresses.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    part: Annotated[
        str,
        typer.Option(
            "--part",
            metavar="|".join(PARTS),
            help="What differs between hosts of a build, or all but what is attached.",
        ),
    ] = "",
    script: Annotated[
        bool, typer.Option("--script", help="Write a shell script that does it on a host without Python.")
    ] = False,
    user_files: Annotated[
        list[str],
        typer.Option("--user-file", metavar="PATH", help="Also symbols, notes and code of a program; repeat it."),
    ] = [],  # noqa: B006  # typer's way to say that it may be left out
    modules: Modules = "",
    json: Json = False,
    format: Format = "",
    color: Color = "auto",
) -> Request:
    """Save everything read, to answer later or elsewhere.

    Exit code: 0, 2 usage (also a file that is there, without --force), 4 a source is broken or FILE cannot be written.
    """
    return build("snapshot", **locals())


@_command("mcp", "mcp <requests.ndjson")
def mcp() -> Request:
    """Answer programs that speak the Model Context Protocol, over standard input and output.

    Tools: check, tracepoint, stub, diff, inline, audit. All of them only read.

    Exit code: 0 the input has ended, 2 usage.
    """
    return build("mcp", **locals())


@_command("completion bash", "completion fish")
def completion(shell: Annotated[str, typer.Argument(metavar="|".join(SHELLS), show_default=False)]) -> Request:
    """Print the completion script of a shell.

    For bash: eval "$(probe-scout completion bash)".

    Exit code: 0, 2 usage.
    """
    return build("completion", names=[shell])


def read(args: Sequence[str]) -> Request | int:
    """The Request of a command line, or an exit code when help or the version was printed. Raises UsageError."""
    args = command_first(args)
    _refuse_unknown_command(args)
    _refuse_empty_values(args)
    page = io.StringIO()  # typer ends the process with 1 where its page meets a closed pipe
    try:
        with contextlib.redirect_stdout(page):
            answer = app(args=list(args), prog_name="probe-scout", standalone_mode=False)
        streams.put(page.getvalue())
    except typer.Abort:
        return 130
    except Exception as error:
        # typer has no public base class for the mistakes of a command line; all of them can say themselves.
        say = getattr(error, "format_message", None)
        if say is None:
            raise
        option = getattr(error, "option_name", "") if type(error).__name__ == "NoSuchOption" else ""
        raise UsageError(_unknown_option(option, args) if option else _sentence(str(say()), args)) from None
    return answer if isinstance(answer, (Request, int)) else 0


def _refuse_empty_values(args: Sequence[str]) -> None:
    """Raises UsageError for an option whose value is empty, as of an unset variable in a script: --root "$UNSET".

    To take it as not given would answer another question, such as that of this machine.
    """
    from .complete import takes_value

    with_value = takes_value(args[0] if args else "")
    before = ""
    for word in args:
        if word == "--":
            return
        option = before if not word else word[:-1] if word.endswith("=") else ""
        if option in with_value:
            raise UsageError(f"{option} has an empty value: leave the option out, or say what it names")
        before = "" if before in with_value else word


def _sentence(text: str, args: Sequence[str]) -> str:
    text = " ".join(text.split()).rstrip(".?").replace(". Did you mean", ": did you mean")
    return f"{text[:1].lower()}{text[1:]}; see {_help_of(args)}"


def _help_of(args: Sequence[str]) -> str:
    return f"probe-scout {args[0]} --help" if args and args[0] in _commands() else "probe-scout --help"


def _commands() -> set[str]:
    return {command.callback.__name__ for command in app.registered_commands if command.callback}


def _refuse_unknown_command(args: Sequence[str]) -> None:
    """Raises UsageError with the nearest command; not every release of typer names one."""
    if not args or args[0][:1] in ("", "-") or args[0] in _commands():
        return
    import difflib  # only on the way to an error

    near = difflib.get_close_matches(args[0], sorted(_commands()), 1, 0.6)
    hint = f": did you mean {near[0]!r}" if near else ""
    raise UsageError(f"no such command {args[0]!r}{hint}; see probe-scout --help")


def _unknown_option(option: str, args: Sequence[str]) -> str:
    """The sentence for an option that the command does not have, with the option that is most similar."""
    import difflib  # only on the way to an error

    from .complete import OPTIONS

    command = args[0] if args and args[0] in _commands() else ""
    known = OPTIONS[command] if command else (*LEADING_VALUES, *LEADING_FLAGS, "--version", "--help")
    near = difflib.get_close_matches(option, known, 1, 0.65)
    of = f"{command} has no option {option}" if command else f"no such option: {option}"
    return f"{of}: did you mean {near[0]}?" if near else f"{of}; see {_help_of(args)}"
