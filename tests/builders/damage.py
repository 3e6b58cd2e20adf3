"""Damaged copies of a file, for tests that any bytes give an answer or Malformed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from probe_scout.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

EXAMPLES = settings(
    max_examples=int(os.environ.get("PROBE_SCOUT_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@st.composite
def damaged(draw, raw: bytes) -> bytes:
    """The bytes cut off somewhere, with some bits flipped, or with a piece repeated."""
    broken = bytearray(raw)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(broken) - 1, 0)))
        how = draw(st.sampled_from(("flip", "put", "drop", "repeat")))
        if how == "flip" and broken:
            broken[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "put":
            broken[at:at] = draw(st.binary(max_size=4))
        elif how == "drop":
            del broken[at : at + draw(st.integers(1, 9))]
        else:
            broken[at:at] = broken[at : at + 40]
    if draw(st.booleans()):
        del broken[draw(st.integers(0, len(broken))) :]
    return bytes(broken)


def answer(scan: Callable[[bytes], T], raw: bytes) -> T | None:
    """What the scanner says; None for a Malformed that names a place and what was expected. Others pass."""
    try:
        return scan(raw)
    except Malformed as error:
        if error.offset_bytes < 0 or not error.expected or "\n" in str(error):
            raise AssertionError(f"not one sentence about a place: {error}") from error
        return None
