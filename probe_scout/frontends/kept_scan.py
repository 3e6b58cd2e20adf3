"""The answers of a scan of everything, kept between runs: another scan, for whatever names and types, judges nothing.

Kept as tables of files are (sources/kept_index.py), under the question that an answer of `check` is kept under: the
states of all files that are read, boot and modules of a running kernel, this program's files. Names are as long as
their file, so a function costs its name and two bytes.
"""

from __future__ import annotations

from array import array

from ..commands import scan
from ..model.facts import Unread
from ..probes.attach.bulk import Group
from ..sources import kept_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ..kernel.kernel import Kernel

_HEAD, _NAMES, _KEYS = "scan head", "scan names", "scan keys"
_KEYS_MAX = 1 << 16  # distinct answers


def question(key: str) -> str:
    """What the table is kept under, from the key of an answer."""
    return f"{kept_index.FORMAT}\0scan\0{key}"


class KeptScan(scan.Judged):
    """A scan by its kept table."""

    def __init__(self, k: Kernel, types: Sequence[str], kept: tuple[list[Group], Any]) -> None:
        self.k = k
        self._groups, head = kept
        self.unread = tuple(Unread(*one) for one in head["unread"])
        wanted = types or scan.default_types()
        known = [
            ({t: answers[t] for t in wanted}, {t: errno[t] for t in wanted if t in errno})
            for answers, errno in head["answers"]
        ]
        self.answers = known.__getitem__

    def groups(self) -> Iterator[Group]:
        return iter(self._groups)


def load(k: Kernel, key: str | None, types: Sequence[str]) -> KeptScan | None:
    """The kept scan of exactly this key; None where there is none that can be trusted."""
    parts = kept_index.load(question(key)) if key else None
    found = [parts.whole(name) for name in (_HEAD, _NAMES, _KEYS)] if parts is not None else []
    if not found or None in found:
        return None
    import json

    head, names, keys = (bytes(one) for one in found if one is not None)
    try:
        told = json.loads(head)
        every = names.decode("utf-8", "surrogateescape").split("\n")
        one_of_each = list(range(len(told["answers"])))  # equal keys are the same object, as records are
        numbers: list[Any] = [one_of_each[number] for number in array("H", keys)]
        groups, at = [], 0
        for module, count in told["owners"]:
            groups.append(Group(module, every[at : at + count], numbers[at : at + count]))
            at += count
        if not at == len(every) == len(numbers):
            return None
        return KeptScan(k, types, (groups, told))
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def store(k: Kernel, key: str) -> None:
    """Judge everything and keep it."""
    judged = scan.Judged(k, ())
    owners: list[tuple[str | None, int]] = []
    names: list[str] = []
    answers: list[object] = []
    numbers: dict[str, int] = {}
    by_traits: dict[object, int] = {}
    keys = array("H")
    for group in judged.groups():
        owners.append((group.module, len(group.names)))
        names += group.names
        for traits in group.traits:
            number = by_traits.get(traits)
            if number is None:
                told = judged.answers(traits)
                number = by_traits[traits] = numbers.setdefault(repr(told), len(answers))
                if number == len(answers):
                    answers.append(told)
            if number >= _KEYS_MAX:
                return
            keys.append(number)
    text = "\n".join(names)
    if not names or text.count("\n") != len(names) - 1:
        return
    import json

    head = {"owners": owners, "answers": answers, "unread": scan.unread(k)}
    kept_index.store(
        question(key),
        {
            _HEAD: json.dumps(head, separators=(",", ":")).encode(),
            _NAMES: text.encode("utf-8", "surrogateescape"),
            _KEYS: keys.tobytes(),
        },
    )
