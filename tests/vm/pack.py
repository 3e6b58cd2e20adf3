"""Pack recordings into fixtures: the snapshot, its provenance, and the answers.

python -m tests.vm pack [--slice | --anew] KERNEL …

Writes fixtures/kernels/NAME.tar.xz, NAME.kernel.toml and fixtures/answers/NAME.tsv.xz, where NAME is
debian-VERSION-FLAVOUR. The archive holds every member of the snapshot; its manifest leaves out the checksums of the
events' files, which would be a twentieth of the archive (xz has one of its own). A slice holds the answers that few
targets share, one in SLICE_ONE_IN of the others, and of the snapshot what these need (cut.py). `--anew` boots the
kernel of a bundled slice for its snapshot and cuts that again: for names that the tool did not ask for before.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.oracle import recorded, scoreboard

from . import asking, cache, cut, kernels, plan, record
from .machines import NATIVE
from .problems import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WHOLE_BYTES_MAX = 4 << 20
SLICE_ONE_IN = 16
MANIFEST = "manifest.json"
_UNHASHED = "sys/kernel/tracing/events/"
FIXTURES = record.ROOT / "fixtures"


def read_members(path: Path) -> dict[str, bytes]:
    """Every file of an archive."""
    with tarfile.open(path) as tar:
        return {m.name: file.read() for m in tar if m.isfile() and (file := tar.extractfile(m))}


def lean_manifest(raw: bytes) -> bytes:
    """The manifest without sizes and checksums of the events' files; what is not named is read unchecked."""
    top = json.loads(raw)
    top["files"] = {path: entry for path, entry in top["files"].items() if not path.startswith(_UNHASHED)}
    return json.dumps(top, indent=1, sort_keys=True).encode() + b"\n"


def archive(members: dict[str, bytes]) -> bytes:
    """A .tar.xz of the members: the manifest first, then by path; the same members give the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(members, key=lambda name: (name != MANIFEST, name)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(members[name]), 0o644
            tar.addfile(member, io.BytesIO(members[name]))
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 64 << 20}]
    return lzma.compress(out.getvalue(), filters=chain)


def packed_rows(answers: Iterable[tuple[plan.Question, asking.Answer]]) -> Iterable[tuple[str, recorded.Answer]]:
    """Recorded answers as they are packed: a kfunc's refusal by name goes into its stage, other words are left out."""
    for question, answer in answers:
        stage = answer.stage
        if question.type == "kfunc" and "is not allowed" in answer.message:
            stage += ":not_allowed"
        yield question.target, recorded.Answer(question.type, question.more, answer.errno, stage)


def fixture_name(kernel: str, version: str) -> str:
    """debian-6.12.107-amd64, debian-6.12.107-cloud-amd64, debian-6.1.176-arm64."""
    arch = kernels.KERNELS[kernel].arch.debian
    flavour = kernel.partition("-")[2]
    words = ("debian", version.partition("-")[0], "" if flavour == arch else flavour, arch)
    return "-".join(part for part in words if part)


def provenance(
    kernel: str, packages: dict[str, str], work: Path, members: dict[str, bytes], questions: int, kept: int
) -> str:
    """kernel.toml: where the kernel came from, how it was booted, which questions are all and which a sample."""
    manifest = json.loads(members[MANIFEST])
    guest = tomllib.loads((work / "guest.toml").read_text())
    q = record.quoted
    lines = [
        f"# Written by `python -m tests.vm pack {kernel}`.",
        f"kernel = {q(kernel)}",
        f"release = {q(manifest['release'])}",
        f"version = {q(guest['version'])}",
        f"taken = {q(guest['taken'])}",
        f"how = {q(f'python -m tests.vm record -k {kernel}: QEMU without KVM, {record.MEMORY_MB} MB, as root')}",
        f"command_line = {q(guest['cmdline'])}",
        f"modules = [{', '.join(q(name) for name in guest['modules'])}]",
        f"tool_version = {q(manifest['tool_version'])}",
        f"prober_sha256 = {q((work / 'prober.sha256').read_text().strip())}",
        f'snapshot = "{"whole" if kept == questions else "slice"}"',
        f"asked = {questions}",
        f"answers = {kept}",
        "",
        "[packages]",
        *(f"{q(name)} = {q(version)}" for name, version in packages.items()),
        "",
        "[plan]",
    ]
    for line in (work / "plan.tsv").read_text().splitlines():
        name, count, how = line.split("\t", 2)
        lines.append(f"{q(name)} = {{ questions = {count}, how = {q(how)} }}")
    return "\n".join(lines) + "\n"


Rows = list[tuple[str, tuple[recorded.Answer, ...]]]


def sliced(members: dict[str, bytes], kept: Rows, work: Path) -> tuple[dict[str, bytes], bytes]:
    """Members and archive of a slice for these answers. Raises AskingFailed if the tool answers otherwise from it."""
    small = cut.cut(members, {target for target, _ in kept})
    made = archive(small)
    place = work / "slice.tar.xz"
    place.write_bytes(made)
    whole, part = (scoreboard.Judge(scoreboard.open_recorded(path)) for path in (work / "snapshot.tar.xz", place))
    other = [
        f"{target} {answer.type}"
        for target, answers in kept
        for answer in answers
        if scoreboard.is_judged(answer) and whole.say(target, answer).words() != part.say(target, answer).words()
    ]
    if other:
        raise asking.AskingFailed(f"the slice answers {len(other)} questions otherwise: {', '.join(other[:5])}")
    return small, made


def anew(kernel: str, into: Path) -> tuple[str, int, int, int]:
    """A bundled slice, cut again from a snapshot of the same build, taken now; the answers stay. Returns as `pack`."""
    from . import fetch

    fetch.fetch(kernel)
    version = next(version for name, version in cache.get(kernel).packages.items() if name.startswith("linux-image"))
    name = fixture_name(kernel, version)
    snapshot, answers = into / "kernels" / f"{name}.tar.xz", into / "answers" / f"{name}.tsv.xz"
    if not snapshot.exists() or not answers.exists():
        raise asking.AskingFailed(f"{name} is not bundled: {kernel} is fetched as {version}")
    work = cache.root() / "anew" / kernel
    record.take_snapshot(kernel, work)
    members = read_members(work / "snapshot.tar.xz")
    members[MANIFEST] = lean_manifest(members[MANIFEST])
    rows: Rows = list(recorded.read(answers))
    _, made = sliced(members, rows, work)
    snapshot.write_bytes(made)
    told = snapshot.with_name(f"{name}.kernel.toml")
    taken = next(line for line in (work / "guest.toml").read_text().splitlines() if line.startswith("taken = "))
    lines = [taken if line.startswith("taken = ") else line for line in told.read_text().splitlines()]
    told.write_text("\n".join(lines) + "\n")
    return name, len(made), answers.stat().st_size, sum(len(found) for _, found in rows)


def folder_for(kernel: str) -> Path:
    """Kernels of other architectures are kept and judged apart."""
    arch = kernels.KERNELS[cache.known(kernel)].arch
    return FIXTURES if arch is NATIVE else FIXTURES / arch.debian


def pack(kernel: str, into: Path, one_in: int = 0) -> tuple[str, int, int, int]:
    """One recording, or a slice with one in so many of its common answers.

    Returns its name, the sizes of snapshot and answers in bytes, and how many answers.
    """
    work = record.folder_of(kernel)
    if not (work / "snapshot.tar.xz").exists() or not (work / "answers.tsv").exists():
        raise asking.AskingFailed(f"{kernel} is not recorded: python -m tests.vm record -k {kernel}")
    packages = cache.get(kernel).packages
    version = next(version for name, version in packages.items() if name.startswith("linux-image"))
    name = fixture_name(kernel, version)
    members = read_members(work / "snapshot.tar.xz")
    members[MANIFEST] = lean_manifest(members[MANIFEST])
    rows: Rows = list(recorded.unpack(recorded.pack(packed_rows(asking.read(work / "answers.tsv")))))
    asked = sum(len(answers) for _, answers in rows)
    if one_in:
        rows = list(scoreboard.part(rows, one_in))
        members, snapshot = sliced(members, rows, work)
    else:
        snapshot = archive(members)
    kept = sum(len(answers) for _, answers in rows)
    words = recorded.pack((target, answer) for target, answers in rows for answer in answers)
    (into / "kernels").mkdir(parents=True, exist_ok=True)
    (into / "answers").mkdir(parents=True, exist_ok=True)
    (into / "kernels" / f"{name}.tar.xz").write_bytes(snapshot)
    (into / "kernels" / f"{name}.kernel.toml").write_text(provenance(kernel, packages, work, members, asked, kept))
    (into / "answers" / f"{name}.tsv.xz").write_bytes(words)
    return name, len(snapshot), len(words), kept


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 if an archive is larger than a whole kernel may be."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm pack", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kernel", nargs="+")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--slice", action="store_true", help="rare answers and a sample, with what they need")
    how.add_argument("--anew", action="store_true", help="a bundled slice, cut from a new snapshot; the answers stay")
    parser.add_argument("--into", type=Path, help="instead of fixtures/ (fixtures/arm64/)")
    parser.add_argument("--one-in", type=int, default=SLICE_ONE_IN, help="share of the answers that many targets give")
    options = parser.parse_args(arguments)
    is_large = False
    for kernel in options.kernel:
        try:
            into = options.into or folder_for(kernel)
            packed = anew(kernel, into) if options.anew else pack(kernel, into, options.one_in if options.slice else 0)
        except (asking.AskingFailed, LabError) as exc:
            print(f"pack: {exc}", file=sys.stderr)
            return 2
        name, snapshot, answers, count = packed
        print(f"{name}: snapshot {snapshot / 1e6:.2f} MB, {count} answers in {answers / 1e6:.2f} MB")
        is_large |= snapshot > WHOLE_BYTES_MAX
    return int(is_large)


if __name__ == "__main__":
    sys.exit(main())
