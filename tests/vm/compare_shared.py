"""Compare a recording with another lab's files and answers of the same build, and name every difference.

python -m tests.vm compare-shared [--shared ../shared/kernels] [KERNEL …]

That folder holds debian-KERNEL.tar.xz (the kernel's own paths) and answers-KERNEL/oracle-TYPE.jsonl.gz.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.oracle import shared_answers

from . import asking, pack, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SHARED = record.ROOT.parent / "shared" / "kernels"
_NUMBERS = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,16}\b")
# Files whose lines hold addresses, which the two recordings place differently.
_ADDRESSES = ("proc/kallsyms", "proc/modules", "kprobes/blacklist", "available_filter_functions_addrs")


def shape(path: str) -> str:
    """A path with the parts that run into thousands made a star."""
    path = re.sub(r"events/[^/]+/[^/]+/", "events/*/*/", path)
    path = re.sub(r"sys/module/[^/]+/", "sys/module/*/", path)
    return re.sub(r"lib/modules/[^/]+/", "lib/modules/*/", path)


def lines_of(path: str, raw: bytes) -> Counter[str]:
    """The lines of a text file as a bag, without addresses and ids."""
    text = raw.decode("utf-8", "replace")
    if path.endswith(_ADDRESSES):
        text = _NUMBERS.sub("·", text)
    if path.endswith("/format"):
        text = re.sub(r"^ID: \d+$", "ID: ·", text, flags=re.MULTILINE)
    return Counter(line.strip() for line in text.splitlines())


def files(theirs: dict[str, bytes], ours: dict[str, bytes], names: int) -> Iterator[str]:
    """Sentences for the files of both."""
    for word, one, other in (("theirs", theirs, ours), ("ours", ours, theirs)):
        only = Counter(
            "proc/sys/…" if path.startswith("proc/sys/") else shape(path) for path in one.keys() - other.keys()
        )
        for path, count in sorted(only.items()):
            yield f"only {word}: {path}" + (f" ({count} files)" if count > 1 else "")
    differing: dict[str, list[str]] = defaultdict(list)
    for path in sorted(theirs.keys() & ours.keys()):
        if theirs[path] == ours[path]:
            continue
        if b"\0" in theirs[path]:
            sizes = f"{len(theirs[path])} and {len(ours[path])} bytes"
            differing[shape(path)].append(f"{path}: binary, {sizes}")
            continue
        a, b = lines_of(path, theirs[path]), lines_of(path, ours[path])
        if a != b:
            lost, new = a - b, b - a
            said = [f"-{line[:70]}" for line in list(lost)[:names]] + [f"+{line[:70]}" for line in list(new)[:names]]
            differing[shape(path)].append(f"{path}: -{lost.total()} +{new.total()} lines: {' | '.join(said)}")
    for path, said in differing.items():
        if len(said) > names:
            yield f"{path}: {len(said)} files differ, such as"
        yield from (f"  {text}" for text in said[:names])
    equal = sum(theirs[path] == ours[path] for path in theirs.keys() & ours.keys())
    yield f"{equal} files are equal byte by byte of {len(theirs.keys() & ours.keys())} that both have"


def answers(theirs: Iterable[tuple[str, shared_answers.Answer]], ours: dict[object, str], names: int) -> Iterator[str]:
    """Sentences for the answers: by type equal, different, asked by one of them."""
    count: dict[str, Counter[str]] = defaultdict(Counter)
    different: dict[str, list[str]] = defaultdict(list)
    seen: set[object] = set()
    for target, answer in theirs:
        key = (answer.type, target, answer.more)
        if key in seen:
            continue
        seen.add(key)
        if key not in ours:
            count[answer.type]["theirs alone"] += 1
        elif ours[key] == answer.errno:
            count[answer.type]["equal"] += 1
        else:
            count[answer.type]["different"] += 1
            different[answer.type].append(f"{target} {answer.more}: theirs {answer.errno}, ours {ours[key]}")
    for type_, _, _ in ours.keys() - seen:  # type: ignore[misc]
        count[type_]["ours alone"] += 1
    for type_, found in sorted(count.items()):
        yield f"{type_:18} " + ", ".join(f"{word} {found[word]}" for word in sorted(found))
        yield from (f"  {text}" for text in different[type_][:names])


def compare(kernel: str, shared: Path, names: int) -> Iterator[str]:
    """All sentences for one kernel."""
    work = record.folder_of(kernel)
    if not (work / "snapshot.tar.xz").exists():
        yield f"{kernel}: not recorded here"
        return
    theirs = {
        name.removeprefix("./"): raw for name, raw in pack.read_members(shared / f"debian-{kernel}.tar.xz").items()
    }
    ours = pack.read_members(work / "snapshot.tar.xz")
    ours.pop(pack.MANIFEST)
    builds = [found.get("proc/version") or found.get("uname", b"") for found in (theirs, ours)]
    yield f"== {kernel}: theirs {builds[0].decode().strip()[:90] or 'of unknown build'}"
    yield f"   ours {builds[1].decode().strip()[-60:]}"
    yield from files(theirs, ours, names)
    folder = shared / f"answers-{kernel}"
    if folder.is_dir() and (work / "answers.tsv").exists():
        known: dict[object, str] = {tuple(q): a.errno for q, a in asking.read(work / "answers.tsv")}
        yield from answers(shared_answers.rows(folder), known, names)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; always 0, a difference is a fact and no failure."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.vm compare-shared", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("kernel", nargs="*")
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--names", type=int, default=4, help="differences named for each file and type")
    options = parser.parse_args(arguments)
    found = [
        path.name.removeprefix("debian-").removesuffix(".tar.xz") for path in options.shared.glob("debian-*.tar.xz")
    ]
    if not found:
        print(f"compare-shared: no debian-*.tar.xz in {options.shared}", file=sys.stderr)
        return 2
    for kernel in options.kernel or sorted(found):
        print("\n".join(compare(kernel, options.shared, options.names)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
