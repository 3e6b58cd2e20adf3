"""Lines that the kernel ends, and a file that was cut off."""

from __future__ import annotations

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.text import lines


@pytest.mark.parametrize(("raw", "found"), [(b"", []), (b"\n", [b""]), (b"a\nb\n", [b"a", b"b"])])
def test_whole_lines(raw, found):
    assert lines.split(raw, "p") == found


@pytest.mark.parametrize(("raw", "offset"), [(b"a", 0), (b"a\nbc", 2), (b"\n\nx", 2)])
def test_a_last_line_without_an_end_is_malformed(raw, offset):
    with pytest.raises(Malformed) as caught:
        lines.split(raw, "proc/x")
    assert (caught.value.path, caught.value.offset_bytes) == ("proc/x", offset)


def test_the_error_of_a_line_names_where_it_begins():
    rows = [b"one", b"", b"three"]
    assert lines.malformed_line("p", rows, 2, "a number").offset_bytes == b"\n".join(rows).index(b"three")


def test_bytes_in_a_message_are_quoted_and_short():
    assert lines.show(b"a'\n") == '"a\'\\n"'
    assert lines.show(b"x" * 41) == "'" + "x" * 40 + "'…"


def test_text_that_is_not_utf8_names_the_byte():
    assert lines.text("é".encode(), "p", 7) == "é"
    with pytest.raises(Malformed) as caught:
        lines.text(b"ab\xff", "p", 7)
    assert caught.value.offset_bytes == 9
