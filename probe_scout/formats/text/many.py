"""One pass over a large file for many names at once, where a search for each would read it as often."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Collection

_LONGEST = 128  # bytes of a name; a longer one would nest deeper than the compiler of patterns goes
_Tree = dict[int, "_Tree"]
_END = -1


def pattern(before: bytes, names: Collection[bytes], after: bytes) -> re.Pattern[bytes] | None:
    """Finds each of the names behind `before` where one of the bytes `after` follows; None where they cannot be put
    into one pattern.

    Names share their beginnings in the pattern, so that each position of the file is looked at about once.
    """
    if not names or max(map(len, names)) > _LONGEST:
        return None
    import re

    tree: _Tree = {}
    for name in names:
        at = tree
        for letter in name:
            at = at.setdefault(letter, {})
        at[_END] = {}
    try:
        return re.compile(re.escape(before) + b"(" + _text(tree) + b")(?=[" + re.escape(after) + b"])")
    except (RecursionError, re.error):
        return None


def _text(tree: _Tree) -> bytes:
    import re

    parts = [re.escape(bytes((letter,))) + _text(below) for letter, below in tree.items() if letter != _END]
    if not parts:
        return b""
    text = parts[0] if len(parts) == 1 and _END not in tree else b"(?:" + b"|".join(parts) + b")"
    return text + (b"?" if _END in tree else b"")
