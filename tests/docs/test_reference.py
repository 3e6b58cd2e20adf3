"""What is made from the code for readers: JSON Schemas that documents keep, pages of rules, man pages."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from probe_scout.frontends import session
from probe_scout.frontends.cli import app, run
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.document import SCHEMAS, Document
from tests.conftest import RECORDED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def schemas(reference):
    found = reference.schemas()
    for schema in found.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    return found


@pytest.fixture(scope="module")
def kernel(recorded):
    opened = session.OpenKernel()
    opened._opened = Kernel(recorded)
    return opened


def document(monkeypatch, capsys, kernel, *words):
    monkeypatch.setattr(run, "open_kernel", lambda root, vmlinux=None: kernel)
    run.main([*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_every_report_type_has_a_schema(schemas):
    assert set(schemas) == {report.COMMAND for report in Document.__subclasses__()}
    assert set(schemas) <= set(SCHEMAS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("check", ("check", "do_execve", "vfs_read", "tp:sched:sched_switch", "vfs_read+0x10", "s_next")),
        ("check", ("check", "/bin/sh:main", "syscall:execve")),
        ("scan", ("scan", "vfs_rea*")),
        ("tracepoint", ("tracepoint", "sched:sched_switch")),
        ("tracepoint", ("tracepoint", "sched:sched_*")),
        ("stub", ("stub", "sched:sched_switch")),
        ("inline", ("inline", "vfs_read")),
        ("kfunc", ("kfunc", "bpf_task_*")),
        ("diff", ("diff", "a", "b", "vfs_rea*")),
        ("survey", ("survey",)),
    ],
)
def test_documents_keep_their_schema(schemas, monkeypatch, capsys, kernel, name, words):
    jsonschema.validate(document(monkeypatch, capsys, kernel, *words), schemas[name])


def test_slow_documents_keep_their_schema(schemas, monkeypatch, capsys, kernel):
    for name in ("doctor", "features"):
        jsonschema.validate(document(monkeypatch, capsys, kernel, name), schemas[name])


def test_a_document_that_lost_a_key_is_refused(schemas, monkeypatch, capsys, kernel):
    found = document(monkeypatch, capsys, kernel, "check", "vfs_read", "--type", "kprobe")
    del found["targets"][0]["verdicts"][0]["errno"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, schemas["check"])
    assert RECORDED.exists()


def test_the_page_of_rules_has_every_id(reference):
    from probe_scout.frontends.cli.pages import finding_pages, rule_pages

    heads = set(re.findall(r"^### (\S+)$", reference.rules_page(), re.M))
    assert heads == {page.id for page in [*rule_pages(), *finding_pages()]}


def test_man_pages_name_every_command_and_option(reference):
    import typer

    pages = reference.man_pages()
    commands = typer.main.get_command(app.app).commands
    assert set(pages) == {"probe-scout.1", *(f"probe-scout-{name}.1" for name in commands)}
    for name, command in commands.items():
        text = pages[f"probe-scout-{name}.1"].replace("\\-", "-")
        assert ".SH EXIT STATUS" in text, name
        assert [o for p in command.params for o in p.opts if o.startswith("-") and f"\\fB{o}\\fR" not in text] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_against_the_man_pages(reference):
    for name, text in reference.man_pages().items():
        done = subprocess.run(
            ["groff", "-man", "-ww", "-Tutf8", "-z"], input=text.encode(), capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), name


def test_the_sources_of_the_site_are_whole(reference, tmp_path):
    import tomllib

    reference.site(tmp_path)
    pages = {path.name for path in (tmp_path / "docs").glob("*.md")}
    nav = json.dumps(tomllib.loads((tmp_path / "zensical.toml").read_text())["project"]["nav"])
    assert set(re.findall(r'"([\w-]+\.md)"', nav)) == pages
    for page in (tmp_path / "docs").glob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
