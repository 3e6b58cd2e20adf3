"""Ask a kernel which loads and stores of its context each program type takes; compare with the kernel's image.

python -m tests.vm contexts -k KERNEL [--pack FILE]

Every offset, every size of a load and of a store, for each program and attach type of libbpf's table whose context is a
struct or plain memory: 0 if the image tells every answer as the booted kernel did, 1 if not. --pack adds the answers to
a file of tests/formats/image/test_access.py.
"""

from __future__ import annotations

import argparse
import lzma
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from probe_scout.formats.btf import kinds
from probe_scout.formats.elf.kernel_image import KernelImage, vmlinux_of
from probe_scout.formats.image.access import Accesses
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.program import Program
from probe_scout.rules import section_names

from . import boot, cache
from .problems import LabError, needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

GUEST = Path(__file__).parent / "guest" / "ctx_all.py"
BY_ARGUMENTS = ("TRACING", "LSM", "EXT", "STRUCT_OPS")  # their contexts are typed arguments: tests/vm/fields.py
BEHIND, PLAIN = 8, 64  # bytes behind the struct; bytes of a context without one
LIMIT_S = 900.0


def facts_of(kernel: str) -> Facts:
    """The image of a kernel of the lab."""
    return Facts(KernelImage(vmlinux_of((cache.root() / "kernels" / kernel / "vmlinuz").read_bytes())))


def questions(facts: Facts) -> Iterator[str]:
    """Lines for the guest: names and numbers of program and attach type, bytes of the context."""
    records = facts.records()
    btf = records.btf
    types, attach = btf.enumerators("bpf_prog_type"), btf.enumerators("bpf_attach_type")
    sizes = {
        member.name.removeprefix("BPF_PROG_TYPE_").removesuffix("_prog"): records.record(
            records.resolve(member.type_id)
        )
        for convert in btf.find_ids("bpf_ctx_convert", frozenset((kinds.STRUCT,)))[:1]
        for member in records.members(convert)
        if member.name.endswith("_prog")
    }
    rows = ((row.program, kind) for row in section_names.TABLE for kind in ("", row.attach))  # "": the 0 loaders leave
    for program, kind in dict.fromkeys(rows):
        number = types.get(f"BPF_PROG_TYPE_{program}")
        if number is None or program in BY_ARGUMENTS or (kind and f"BPF_{kind}" not in attach):
            continue
        record = sizes.get(program)
        size = record.number if record is not None and record.kind == kinds.STRUCT else PLAIN
        yield f"{program}\t{kind or '-'}\t{number}\t{attach.get(f'BPF_{kind}', 0)}\t{size + BEHIND}"


def ask(kernel: str, lines: Iterable[str]) -> list[str]:
    """The booted kernel's answers, lines of ctx_all.py."""
    with tempfile.TemporaryDirectory() as out:
        asked = Path(out) / "questions"
        asked.write_text("".join(f"{line}\n" for line in lines))
        ended = boot.run(
            kernel,
            ["python3", "/ctx_all.py", "/questions", "/out/answers"],
            share={"/ctx_all.py": GUEST, "/questions": asked},
            out=Path(out),
            timeout_s=LIMIT_S,
        )
        if ended.status:
            raise LabError(
                f"{kernel}: the guest ended with {ended.status}: {ended.stderr[-600:] or ended.console[-600:]}"
            )
        return (Path(out) / "answers").read_text().splitlines()


def differences(facts: Facts, answers: Iterable[str]) -> tuple[int, int, list[str]]:
    """How many answers the image told, how many it did not, and a sentence for each that differs."""
    accesses, btf = Accesses(facts), facts.records().btf
    types, attach = btf.enumerators("bpf_prog_type"), btf.enumerators("bpf_attach_type")
    told = untold = 0
    wrong = []
    for line in answers:
        program, kind, access, size, letters = line.split("\t")
        if access == "none":
            continue
        asked = Program(types[f"BPF_PROG_TYPE_{program}"], attach.get(f"BPF_{kind}", 0))
        for offset, letter in enumerate(letters):
            answer = accesses.allowed(asked, offset, int(size), 1 if access == "read" else 2)
            if answer is None:
                untold += 1
                continue
            told += 1
            if answer != (letter == "y"):
                wrong.append(f"{program}/{kind}: {access} of {size} at {offset}: kernel {letter}, image {answer}")
    return told, untold, wrong


def main(words: Sequence[str] | None = None) -> int:
    """The command; 0 if nothing differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm contexts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-k", "--kernel", required=True, help="a name of the table, fetched before")
    parser.add_argument("--pack", type=Path, metavar="FILE", help="fixtures/calls/contexts.tsv.xz")
    given = parser.parse_args(words)
    needs("capstone")
    facts = facts_of(given.kernel)
    answers = ask(given.kernel, questions(facts))
    told, untold, wrong = differences(facts, answers)
    print(f"{given.kernel}: {told} answers told, {len(wrong)} differ, {untold} not told")
    print(*wrong[:40], sep="\n")
    if given.pack:
        kept = lzma.decompress(given.pack.read_bytes()).decode() if given.pack.exists() else ""
        lines = [line for line in kept.splitlines() if not line.startswith(f"{given.kernel}\t")]
        lines += [f"{given.kernel}\t{line}" for line in answers]
        given.pack.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=9))
    return 1 if wrong else 0
