"""Nearest names by edit distance, for typing mistakes.

Distance is optimal string alignment: insert, delete, replace, and swap of two neighbours, each 1.
"""

from __future__ import annotations

from . import known_changes
from . import symbol_names as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...model.target import Target
    from .protocol import Lookup

LIMIT = 5


def nearest(name: str, population: Iterable[str], limit: int = LIMIT) -> tuple[str, ...]:
    """At most `limit` names near `name`, best first; empty if none is near.

    Near means a distance of 1 up to 5 characters, 2 up to 8, 3 above. Ties go to the longer common
    prefix, then to the closer length, then by alphabet. The name itself is never among them.
    """
    reach = far = 1 if len(name) <= 5 else 2 if len(name) <= 8 else 3
    letters = set(name)
    low, high = len(name) - far, len(name) + far
    found: list[tuple[int, int, int, str]] = []
    for other in population:
        # A replaced letter may cost one letter on each side, so each one-sided difference is a bound.
        if not low <= len(other) <= high or len(letters.difference(other)) > reach:
            continue
        if other == name or len(set(other) - letters) > reach:
            continue
        steps = distance(name, other, reach)
        if steps > reach:
            continue
        found.append((steps, -_common_prefix(name, other), abs(len(name) - len(other)), other))
        if len(found) >= 4 * limit:
            found = sorted(set(found))[:limit]
            reach = found[-1][0] if len(found) == limit else far
    return tuple(entry[3] for entry in sorted(set(found))[:limit])


def distance(left: str, right: str, reach: int) -> int:
    """The edit distance of two texts, or reach + 1 if it is more than `reach`. Looks only at the band it needs."""
    if abs(len(left) - len(right)) > reach:
        return reach + 1
    # Shared ends cost nothing and are most of a mistyped name.
    start, end_left, end_right = 0, len(left), len(right)
    while start < end_left and start < end_right and left[start] == right[start]:
        start += 1
    while end_left > start and end_right > start and left[end_left - 1] == right[end_right - 1]:
        end_left -= 1
        end_right -= 1
    left, right = left[start:end_left], right[start:end_right]
    if not left or not right:
        return min(len(left) + len(right), reach + 1)
    too_far = reach + 1
    columns = len(right)
    before: list[int] = []
    row = [min(j, too_far) for j in range(columns + 1)]
    for i, letter in enumerate(left, 1):
        first, last = max(1, i - reach), min(columns, i + reach)
        current = [too_far] * (columns + 1)
        if i <= reach:
            current[0] = i
        for j in range(first, last + 1):
            steps = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (letter != right[j - 1]))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == right[j - 1]:
                steps = min(steps, before[j - 2] + 1)
            current[j] = steps
        if min(current[first - 1 : last + 1]) > reach and min(row) >= reach:
            return too_far
        before, row = row, current
    return min(row[columns], too_far)


def _common_prefix(left: str, right: str) -> int:
    """How many leading characters two texts share."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


def suggest(lookup: Lookup, target: Target, limit: int = LIMIT) -> tuple[str, ...]:
    """Written forms of existing targets near a name that does not exist; empty where the name needs none.

    A name which the ladder knows, which exists with a compiler suffix, or which only carries stray
    characters is not a typing mistake. Reads all names of the kernel, the slow way.
    """
    if target.kind == "tracepoint":
        return _suggest_events(lookup, target, limit)
    if target.kind == "syscall":
        calls = {
            name[10:] for category, name in lookup.events() if category == "syscalls" and name[:10] == "sys_enter_"
        }
        if target.name.lower() in calls and target.name not in calls:
            return (f"syscall:{target.name.lower()}",)
        return () if target.name in calls else tuple(f"syscall:{name}" for name in nearest(target.name, calls, limit))
    bare = names.unwrapped(target.name)
    if bare != target.name and lookup.symbols(bare):
        return (bare,)
    if (
        lookup.symbols(bare)
        or lookup.variants(names.stem(bare))
        or known_changes.known_change(bare, lookup.arch) is not None
    ):
        return ()
    every = tuple(lookup.function_names())
    lower, letters = bare.lower(), len(bare)
    same = tuple(dict.fromkeys(name for name in every if len(name) == letters and name.lower() == lower))  # VFS_READ
    found = same[:limit] or nearest(bare, every, limit)
    if target.module is None:
        return found
    inside = [name for name in found if any(s.module == target.module for s in lookup.symbols(name))]
    return tuple(f"{target.module}:{name}" for name in inside) or found


def _suggest_events(lookup: Lookup, target: Target, limit: int) -> tuple[str, ...]:
    """Near events: the same name in another category first, then near names in this category, then anywhere."""
    events = lookup.events()
    if any(name == target.name and target.module in (None, category) for category, name in events):
        return ()
    same = [f"tp:{category}:{name}" for category, name in events if name.lower() == target.name.lower()]
    if same:
        return tuple(same[:limit])
    by_name: dict[str, str] = {}
    for category, name in events:
        if name not in by_name or category == target.module:
            by_name[name] = category
    inside = [name for name, category in by_name.items() if category == target.module]
    found = nearest(target.name, inside, limit) or nearest(target.name, by_name, limit)
    return tuple(f"tp:{by_name[name]}:{name}" for name in found)
