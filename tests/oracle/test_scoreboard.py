"""Verdicts against the answers of booted kernels: none wrong, none unknown, the errno right."""

from __future__ import annotations

import lzma

import pytest

from tests.oracle import scoreboard

KERNELS = {**scoreboard.recorded(), **{k: v for k, v in scoreboard.shared_kernels().items() if k == "7.3"}}
# What a snapshot without running code does not tell: whether boot made a no-op of a first instruction.
TELLABLE_BY_CODE_ALONE = {"entry_code"}
ERRNO_RIGHT_MIN = 0.999


def test_answers_of_a_recorded_kernel_are_bundled():
    assert "debian-6.12.107-amd64" in scoreboard.recorded()
    (_, answers) = scoreboard.recorded()["debian-6.12.107-amd64"]
    assert lzma.decompress(answers.read_bytes()).count(b"\n") > 250_000


@pytest.fixture(scope="module", params=KERNELS)
def rows(request):
    """Answer file to score, of one kernel."""
    return scoreboard.board({request.param: KERNELS[request.param]})[request.param]


@pytest.mark.oracle
def test_no_verdict_is_wrong(rows, capsys, request):
    with capsys.disabled():
        print("\n" + "\n".join(table(request.node.callspec.params["rows"], rows)))
    assert {name: row.wrong[:5] for name, row in rows.items() if row.wrong} == {}


@pytest.mark.oracle
def test_no_verdict_is_unknown_but_for_want_of_entry_code(rows, request):
    unknown = {
        name: (dict(row.reasons), row.unknown_names[:5])
        for name, row in rows.items()
        if row.unknown and set(row.reasons) - TELLABLE_BY_CODE_ALONE
    }
    assert unknown == {}
    if request.node.callspec.params["rows"] in scoreboard.recorded():  # the bundled snapshots hold the running bytes
        assert sum(row.unknown for row in rows.values()) == 0


@pytest.mark.oracle
def test_the_errno_of_refusals_is_right(rows):
    refused, right = (sum(getattr(row, key) for row in rows.values()) for key in ("refused", "errno_right"))
    assert refused > 50_000
    assert right / refused >= ERRNO_RIGHT_MIN, [text for row in rows.values() for text in row.errno_wrong[:3]]


@pytest.mark.oracle
def test_every_kind_of_answer_is_there(rows):
    asked = {name for name, row in rows.items() if row.asked}
    assert {
        "kprobe",
        "kretprobe",
        "multi",
        "session",
        "fentry",
        "fentry_attach",
        "fmod_ret",
        "lsm",
        "iter",
        "tp",
    } <= asked


def table(kernel, rows):
    """The scoreboard's lines."""
    yield f"{kernel:24} {'asked':>7} {'right':>7} {'wrong':>6} {'unknown':>8} {'errno right':>14}"
    for name, row in rows.items():
        errno = f"{row.errno_right}/{row.refused}"
        yield f"  {name:22} {row.asked:7} {row.right:7} {len(row.wrong):6} {row.unknown:8} {errno:>14}"
