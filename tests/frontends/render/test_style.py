"""When there is colour and how wide a line may be."""

from __future__ import annotations

import io

import pytest

from probe_scout.frontends.render.style import UNLIMITED, printable, style_for


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("stream", "color", "environment", "colored"),
    [
        (Terminal(), "auto", {}, True),
        (io.StringIO(), "auto", {}, False),
        (Terminal(), "auto", {"NO_COLOR": "1"}, False),
        (Terminal(), "auto", {"NO_COLOR": ""}, True),
        (io.StringIO(), "auto", {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), "auto", {"FORCE_COLOR": "0"}, False),
        (Terminal(), "auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Terminal(), "auto", {"TERM": "dumb"}, False),
        (io.StringIO(), "always", {"NO_COLOR": "1"}, True),
        (Terminal(), "never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour(monkeypatch, stream, color, environment, colored):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert style_for(stream, color).color is colored


def test_a_pipe_is_not_wrapped_and_columns_decides(monkeypatch):
    assert style_for(io.StringIO()).width == UNLIMITED
    monkeypatch.setenv("COLUMNS", "72")
    assert style_for(io.StringIO()).width == 72


def test_a_closed_stream_has_a_style():
    stream = io.StringIO()
    stream.close()
    assert style_for(stream).color is False


def test_printable_escapes_and_keeps():
    assert printable("vfs_read") == "vfs_read"
    assert printable("a\tb\x00\udcff") == "a\\tb\\x00\\udcff"
