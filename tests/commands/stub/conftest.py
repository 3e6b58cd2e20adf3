"""Stubs of small events written by hand, and of the bundled kernel; compilers that may not be there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from probe_scout.commands import stub
from probe_scout.commands.stub import layout
from probe_scout.kernel.kernel import Kernel
from probe_scout.probes.tracepoints.record import describe_event
from tests.builders.format_writer import COMMON, event_format

ORIGIN = ("Made in a test.",)


def made(fields, name="e", category="c", common=COMMON, **kwargs):
    """The tp stub of an event with these fields of its own."""
    return layout.record(describe_event(category, name, event_format(name, 7, fields, common=common), **kwargs))


def text(fields, lang="c", **kwargs):
    return stub.text([made(fields, **kwargs)], lang, ORIGIN)


def tool(name):
    """The path of a compiler; the test is skipped where there is none."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + f":{Path.home()}/.cargo/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Compilers:
    """`said(language, source)` is what the compiler complains about; "" if it takes the source."""

    def __init__(self, folder):
        self._folder = folder

    def said(self, language, source):
        return getattr(self, "_" + language)(source)

    def _run(self, *words, cwd=None):
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=cwd, env=dict(os.environ))
        return done.stderr + done.stdout if done.returncode else ""

    def _write(self, name, source):
        path = self._folder / name
        path.write_text(source)
        return path

    def _c(self, source):
        words = [tool("clang"), "-target", "bpf", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-std=gnu11"]
        return self._run(*words, str(self._write("stub.c", source)))

    def _object(self, source):
        words = [tool("clang"), "-target", "bpf", "-O2", "-g", "-Wall", "-Werror", "-c"]
        return self._run(*words, str(self._write("stub.bpf.c", source)), "-o", str(self._folder / "stub.bpf.o"))

    def _cxx(self, source):
        return self._run(tool("clang++"), "-fsyntax-only", "-std=c++17", str(self._write("stub.cc", source)))

    def _rust(self, source):
        path = self._write("stub.rs", source)
        flags = ["--crate-name", "stub", "--crate-type", "lib", "--edition", "2021", "--emit=metadata", "-Dwarnings"]
        return self._run(tool("rustc"), *flags, "-o", str(self._folder / "stub.rmeta"), str(path))

    def _go(self, source):
        folder = self._folder / "go"
        folder.mkdir(exist_ok=True)
        (folder / "go.mod").write_text("module stub\n\ngo 1.19\n")
        (folder / "stub.go").write_text(source)
        return self._run(tool("go"), "vet", ".", cwd=folder)

    def _python(self, source):
        import sys

        return self._run(sys.executable, "-W", "error", str(self._write("stub.py", source)))


@pytest.fixture
def compilers(tmp_path):
    return Compilers(tmp_path)


@pytest.fixture(scope="session")
def bundled(recorded):
    return Kernel(recorded)
