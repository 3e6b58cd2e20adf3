"""The command: exit codes, formats, what the short form leaves out, words on standard error."""

from __future__ import annotations

import csv
import io
import json

import pytest

from probe_scout.frontends.cli import run
from tests.builders.tiny_kernel import BLACKLIST

A = ("foo", "old", "kept")
B = ("foo blacklisted", "new", "kept")


@pytest.fixture
def asked(tiny_kernel, monkeypatch, capsys):
    """asked(a, b, *words) runs `diff a b …` on two tiny kernels: exit code, output, errors."""

    def ask(a, b, *words, **kernel_b):
        kernels = {"a": tiny_kernel(a), "b": tiny_kernel(b, **kernel_b)}
        monkeypatch.setattr(run, "open_kernel", lambda root, vmlinux=None: kernels[root])
        monkeypatch.setenv("COLUMNS", "120")
        code = run.main(["diff", "a", "b", "--color", "never", *words])
        return code, *capsys.readouterr()

    return ask


@pytest.mark.parametrize(
    ("b", "words", "code"),
    [
        (A, (), 0),
        (B, (), 1),
        (B, ("kept",), 0),
        (B, ("new",), 1),
        (B, ("--kind", "events"), 0),
        (B, ("nothing_like_it",), 1),
        (B, ("--kind", "symbols"), 2),
        (B, ("--type", "fentri"), 2),
        (B, ("--type", "fentry", "foo"), 0),
    ],
)
def test_exit_codes(asked, b, words, code):
    assert asked(A, b, *words)[0] == code


def test_what_could_not_be_read_is_named_and_makes_3(asked):
    code, _, errors = asked(A, A, denied=(BLACKLIST,))
    assert code == 3
    assert errors.startswith(
        f"probe-scout: B: kprobe_blacklist could not be read: {BLACKLIST}: Operation not permitted"
    )


def test_a_pattern_without_a_match_says_so(asked):
    assert asked(A, B, "nothing_like_it")[1:] == (
        "",
        "probe-scout: nothing matches 'nothing_like_it' in either kernel\n",
    )


def test_the_summary_comes_first_and_alone(asked):
    code, out, errors = asked(A, B)
    lines = out.splitlines()
    assert [line[:8] for line in lines[:2]] == ["A kernel", "B kernel"]
    assert "        1  gone: old" in lines
    assert "        1  yes to no EINVAL   kprobe kretprobe: foo" in lines
    assert lines[-1] == "a pattern, --all or --format ndjson shows each of them"
    assert (code, errors) == (1, "")


def test_rows_with_a_pattern(asked):
    _, out, _ = asked(A, B, "foo")
    assert out.endswith("\nfoo  changed\n  yes to no EINVAL   kprobe kretprobe\n")
    assert "shows each" not in out


def test_all_shows_every_row(asked):
    _, out, _ = asked(A, B, "--all")
    assert [line for line in out.splitlines() if line.startswith(("foo ", "new ", "old "))] == [
        "foo  changed",
        "new  appeared",
        "old  gone",
    ]


def test_json(asked):
    report = json.loads(asked(A, B, "foo", "--json")[1])
    assert report["schema"] == "probe-scout/diff/1"
    assert report["functions"][0]["verdicts"][0] == {
        "attach": "kprobe",
        "answer_a": "yes",
        "errno_a": None,
        "answer_b": "no",
        "errno_b": "EINVAL",
    }
    short = json.loads(asked(A, B, "--json")[1])
    assert (short["whole"], short["functions"], short["counts"][0]["number"]) == (False, [], 1)


def test_ndjson_holds_everything(asked):
    rows = [json.loads(line) for line in asked(A, B, "--format", "ndjson")[1].splitlines()]
    assert [(row["kind"], row["target"], row["change"]) for row in rows] == [
        ("function", "foo", "changed"),
        ("function", "new", "appeared"),
        ("function", "old", "gone"),
    ]


def test_csv_has_a_row_for_each_difference(asked):
    rows = list(csv.DictReader(io.StringIO(asked(A, B, "--format", "csv", "--type", "kprobe")[1])))
    assert [(r["target"], r["what"], r["attach"], r["a"], r["b"]) for r in rows] == [
        ("foo", "verdict", "kprobe", "yes", "no EINVAL"),
        ("new", "appeared", "", "", "new"),
        ("old", "gone", "", "old", ""),
    ]


def test_live_is_this_machine(monkeypatch, tiny_kernel, capsys):
    roots = []
    monkeypatch.setattr(run, "open_kernel", lambda root, vmlinux=None: (roots.append(root), tiny_kernel(("foo",)))[1])
    assert run.main(["diff", "live", "x"]) == 0
    assert roots == ["", "x"]
