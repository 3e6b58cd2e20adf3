"""Makes the table of probe_scout/rules/kfunc_sets.py from the lab's kernel images: `python -m tests.tools.kfunc_table`.

Each image's registrations are run (formats/image/kfuncs.py, which recorded answers of the verifier hold to account).
A kfunc's answer for a program type is kept where two releases or more have the kfunc in the same sets, and all of them
agree on the answer and on KF_SLEEPABLE; destructive ones are left out. A type on which any two releases differ about
any kfunc is left out whole: the kernel changed which hook the type has, and nothing that can be read shows it. 6.1 is
no source: its enum btf_kfunc_hook is another.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from typing import NamedTuple

from probe_scout.formats.elf.kernel_image import KernelImage, vmlinux_of
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.kfuncs import Permissions
from probe_scout.formats.image.program import Program
from probe_scout.formats.text import btf_ids
from tests.vm import cache

KERNELS = ("6.12", "6.16", "6.18", "7.2", "7.3")
_SLEEPABLE, _DESTRUCTIVE = 1 << 5, 1 << 6
_LEAST = 2

Key = tuple[str, tuple[str, ...], str]


class Seen(NamedTuple):
    """One image's answer about a kfunc in its sets for a program type; None where more than the type decides."""

    allowed: bool | None
    sleepable: bool
    destructive: bool


class Row(NamedTuple):
    """Kfuncs in the same sets with the same answers, as the table holds them."""

    sets: str
    allowed: str
    untold: str
    kfuncs: str


def read(kernel: str) -> dict[Key, Seen]:
    """Every kfunc of vmlinux × every program type of one image of the lab."""
    facts = Facts(KernelImage(vmlinux_of((cache.root() / "kernels" / kernel / "vmlinuz").read_bytes())))
    permissions, ids = Permissions(facts), btf_ids.table(facts.table.text())
    types = facts.records().btf.enumerators("bpf_prog_type")
    found = {}
    for name in permissions.ids:
        sets = tuple(sorted(title for title in ids.flagged if name in ids.sets[title]))
        flags = permissions.flags[name]
        for title, number in types.items():
            plain = title.removeprefix("BPF_PROG_TYPE_")
            if plain not in ("UNSPEC", "EXT") and not plain.startswith("__"):
                said = permissions.permits(Program(number), name)
                found[name, sets, plain] = Seen(said, bool(flags & _SLEEPABLE), bool(flags & _DESTRUCTIVE))
    return found


def agreed(kernels: list[dict[Key, Seen]], least: int = _LEAST) -> tuple[dict[Key, Seen], set[str]]:
    """What all say that say it, and the program types that are left out."""
    seen: dict[Key, list[Seen]] = defaultdict(list)
    flags: dict[str, set[tuple[bool, bool]]] = defaultdict(set)
    for one in kernels:
        for key, said in one.items():
            seen[key].append(said)
            flags[key[0]].add(said[1:])
    told = {key: {said.allowed for said in rows} - {None} for key, rows in seen.items()}
    moved = {key[2] for key, answers in told.items() if len(answers) > 1}
    kept = {
        key: rows[0]
        for key, rows in seen.items()
        if len(rows) >= least
        and None not in {said.allowed for said in rows}
        and len(flags[key[0]]) == 1
        and not rows[0].destructive
    }
    return {key: said for key, said in kept.items() if key[2] not in moved}, moved


def rows(found: dict[Key, Seen]) -> list[Row]:
    """The table's rows, in their order."""
    types = sorted({key[2] for key in found})
    by_kfunc: dict[tuple[str, tuple[str, ...]], dict[str, Seen]] = defaultdict(dict)
    for (name, sets, type_), said in found.items():
        by_kfunc[name, sets][type_] = said
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (name, sets), answers in by_kfunc.items():
        any_answer = next(iter(answers.values()))
        mark = "!" * any_answer.sleepable
        allowed = " ".join(type_ for type_ in types if type_ in answers and answers[type_].allowed)
        untold = " ".join(type_ for type_ in types if type_ not in answers)
        groups[" ".join(sets), allowed, untold].append(name + mark)
    return sorted(Row(*key, " ".join(sorted(names))) for key, names in groups.items())


def source(table: list[Row], types: list[str]) -> str:
    """The table as Python."""

    def text(words: str) -> str:
        lines = textwrap.wrap(words, 104, break_long_words=False, break_on_hyphens=False) or [""]
        ends = [" "] * (len(lines) - 1) + [""]
        return "(" + "\n".join(f'"{line}{end}"' for line, end in zip(lines, ends, strict=True)) + ")"

    body = "".join(f"({', '.join(map(text, row))}),\n" for row in table)
    head = f"_TYPES = {text(' '.join(types))}\n"
    return f"{head}_TABLE: tuple[tuple[str, str, str, str], ...] = (\n{body})\n"


def main() -> None:
    """Print the table."""
    found, moved = agreed([read(kernel) for kernel in KERNELS])
    print(f"# left out: {' '.join(sorted(moved))}")
    print(source(rows(found), sorted({key[2] for key in found})))


if __name__ == "__main__":
    main()
