"""Ask a kernel which helpers a program may call at a place; compare with `check helper:NAME@PLACE` on its image.

python -m tests.vm places -k KERNEL [--pack FILE]

Every helper for each row of LABELS, by the verifier's own words: 0 if nothing differs, 1 if something does. --pack adds
the answers to a file of tests/probes/test_call_verdicts.py.
"""

from __future__ import annotations

import argparse
import lzma
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import probe_scout
from probe_scout.formats.btf import kinds
from probe_scout.probes.call_verdicts import Question, answer_of, column
from probe_scout.probes.calls import Calls

from . import boot, cache
from .problems import LabError, needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from probe_scout.kernel.kernel import Kernel

GUEST = Path(__file__).parent / "guest" / "calls_all.py"
LIMIT_S = 900.0
SLEEPABLE = 1 << 4  # BPF_F_SLEEPABLE
FUNCTIONS = ("vfs_read", "filp_close", "security_file_open", "bpf_sk_storage_free", "do_unlinkat")
HOOKS = ("file_open", "task_free", "socket_post_create", "bprm_committed_creds", "inet_conn_established")
TRACEPOINT = "tp:sched_switch"
# What `check` calls the place of a label.
_AT = {"task": "iter:task", TRACEPOINT: "tp:sched:sched_switch"}
# A type's program and expected attach type, what stands before the place in the kernel's BTF.
_TYPES = {
    "fentry": ("TRACING", "TRACE_FENTRY", ""),
    "fexit": ("TRACING", "TRACE_FEXIT", ""),
    "fmod_ret": ("TRACING", "MODIFY_RETURN", ""),
    "iter": ("TRACING", "TRACE_ITER", "bpf_iter_"),
    "lsm": ("LSM", "LSM_MAC", "bpf_lsm_"),
    "tp_btf": ("TRACING", "TRACE_RAW_TP", "btf_trace_"),
}
LABELS = (
    *(f"fentry@{name}" for name in FUNCTIONS),
    *("fexit@vfs_read", "fmod_ret@security_file_open", "iter@task", "iter.s@task"),
    *(f"lsm@{name}" for name in HOOKS),
    *("lsm.s@file_open", "lsm.s@socket_post_create", f"tp_btf@{TRACEPOINT}"),
    *("kprobe", "tracepoint", "xdp", "sched_cls", "perf_event", "raw_tracepoint"),
)


class Compared(NamedTuple):
    """`told`: answers that `check` gave. `wrong`: label, helper and answer of those that the kernel does not give."""

    told: int
    wrong: list[tuple[str, str, str]]


def image_of(kernel: str) -> Kernel:
    """The kernel package of the lab, as `--root` opens it."""
    return probe_scout.open_kernel(str(cache.get(kernel).vmlinuz))._kernel


def questions(k: Kernel) -> Iterator[str]:
    """Lines for the guest: label, numbers of program and attach type, BTF id of the place, flags."""
    btf = k.btf()
    assert btf is not None
    types, attach = btf.enumerators("bpf_prog_type"), btf.enumerators("bpf_attach_type")
    for label in LABELS:
        type_, _, place = label.partition("@")
        program, kind, head = _TYPES.get(type_.removesuffix(".s"), (type_.upper(), "", ""))
        found: Sequence[int] = (0,)
        if place:
            is_event = type_ == "tp_btf"
            name = head + place.rpartition(":")[2]
            found = btf.find_ids(name, frozenset((kinds.TYPEDEF if is_event else kinds.FUNC,)))
        if found:
            numbers = (types[f"BPF_PROG_TYPE_{program}"], attach[f"BPF_{kind}"] if kind else 0, found[0])
            yield "\t".join(map(str, (label, *numbers, SLEEPABLE if type_.endswith(".s") else 0)))


def ask(kernel: str, k: Kernel) -> list[str]:
    """The booted kernel's answers: label, numbers of the helpers it let through, number of the last helper asked."""
    btf = k.btf()
    assert btf is not None
    last = max(btf.enumerators("bpf_func_id").values()) - 1  # before __BPF_FUNC_MAX_ID
    with tempfile.TemporaryDirectory() as out:
        asked = Path(out) / "questions"
        asked.write_text("".join(f"{line}\n" for line in questions(k)))
        ended = boot.run(
            kernel,
            ["python3", "/calls_all.py", "/questions", "/out/answers", str(last)],
            share={"/calls_all.py": GUEST, "/questions": asked},
            out=Path(out),
            timeout_s=LIMIT_S,
        )
        if ended.status:
            raise LabError(
                f"{kernel}: the guest ended with {ended.status}: {ended.stderr[-600:] or ended.console[-600:]}"
            )
        return list(rows((Path(out) / "answers").read_text().splitlines(), last))


def rows(answers: Iterable[str], last: int) -> Iterator[str]:
    """Lines of calls_all.py, one for each label; none for a program that does not load there at all."""
    allowed: dict[str, list[str]] = {}
    for line in answers:
        label, helper, word = line.split("\t")
        if not word.startswith("load "):
            allowed.setdefault(label, []).extend([helper] if word == "yes" else [])
    for label, helpers in allowed.items():
        yield f"{label}\t{' '.join(helpers)}\t{last}"


def compare(k: Kernel, answers: Iterable[str]) -> Compared:
    """What `check` says of every helper beside what the kernel let through."""
    btf = k.btf()
    assert btf is not None
    calls = Calls(k)
    numbers = {v: f"bpf_{n[9:]}" for n, v in btf.enumerators("bpf_func_id").items() if n.startswith("BPF_FUNC_")}
    told, wrong = 0, []
    for line in answers:
        label, allowed, _ = line.split("\t")
        type_, _, place = label.partition("@")
        where = f"lsm/{place}" if type_.startswith("lsm") else _AT.get(place, place)
        question = Question(k, calls, "", where, (type_,) if place else ())
        one = column(type_) if place else column(type_)._replace(sleeps=False)  # as they were loaded
        for number, name in numbers.items():
            answer = answer_of(question.named(name, number).judged(one)[0]) if number else "unknown"
            if answer != "unknown":
                told += 1
                if (answer == "yes") != (str(number) in allowed.split()):
                    wrong.append((label, name, answer))
    return Compared(told, wrong)


def kept(file: Path) -> list[str]:
    """Lines of a packed file, each with its kernel first."""
    return lzma.decompress(file.read_bytes()).decode().splitlines() if file.exists() else []


def main(words: Sequence[str] | None = None) -> int:
    """The command; 0 if nothing differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm places", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-k", "--kernel", required=True, help="a name of the table, fetched before")
    parser.add_argument("--pack", type=Path, metavar="FILE", help="fixtures/calls/places.tsv.xz")
    given = parser.parse_args(words)
    needs("capstone")
    k = image_of(given.kernel)
    answers = ask(given.kernel, k)
    told, wrong = compare(k, answers)
    print(f"{given.kernel}: {len(answers)} places, {told} answers told, {len(wrong)} differ")
    print(*wrong[:40], sep="\n")
    if given.pack:
        lines = [line for line in kept(given.pack) if not line.startswith(f"{given.kernel}\t")]
        lines += [f"{given.kernel}\t{line}" for line in answers]
        given.pack.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=9))
    return 1 if wrong else 0
