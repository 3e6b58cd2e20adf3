"""--json prints a document also where nothing could be read; see matrix.py for every command."""

from __future__ import annotations

import json

import pytest

from probe_scout.frontends.cli import run
from probe_scout.frontends.cli.app import app
from probe_scout.frontends.cli.complete import takes_value


def told(capsys, *line):
    code = run.main([*line, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_root_that_is_missing_is_told_in_the_document(tmp_path, capsys):
    code, document = told(capsys, "check", "vfs_read", f"--root={tmp_path}/missing")
    assert (code, document["schema"], document["targets"]) == (4, "probe-scout/check/1", [])
    (unread,) = document["unread"]
    assert (unread["fact"], unread["kind"]) == ("source", "not_there")
    assert document["error"].endswith("missing: No such file or directory")
    assert document["kernel"]["release"] == ""


def test_a_damaged_file_is_told_by_its_fact(tiny_folder, capsys):
    root = tiny_folder(("vfs_read",))
    (root / "sys/kernel/btf/vmlinux").write_bytes(b"\x9f\xeb\x01\x00")
    code, document = told(capsys, "scan", "vfs_read", f"--root={root}")
    assert (code, document["rows"]) == (4, [])
    assert [(u["fact"], u["kind"]) for u in document["unread"]] == [("btf", "malformed")]
    assert document["kernel"]["release"]


def test_no_such_event_is_an_answer_and_nothing_unread(tiny_folder, capsys):
    code, document = told(capsys, "stub", "no:such", f"--root={tiny_folder(('vfs_read',))}")
    assert (code, document["stubs"], document["unread"]) == (1, [], [])
    assert document["error"].startswith("no event no:such")


def test_a_diff_says_which_side_could_not_be_opened(tiny_folder, tmp_path, capsys):
    code, document = told(capsys, "diff", str(tiny_folder(("vfs_read",))), f"{tmp_path}/missing")
    assert code in (3, 4)
    assert [(u["side"], u["unread"]["fact"]) for u in document["unread"]] == [("b", "source")]


@pytest.mark.parametrize("command", sorted(command.callback.__name__ for command in app.registered_commands))
def test_every_option_with_a_value_refuses_an_empty_one(command):
    """TAKES_VALUE is what the command line has: an option that is new to it would take an empty value for not given."""
    import typer

    found = typer.main.get_command(app).commands[command]
    options = {name for p in found.params if not getattr(p, "is_flag", True) for name in p.opts if name[:1] == "-"}
    assert options <= {*takes_value(command)}
