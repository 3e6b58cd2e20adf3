"""Surveys written for a test, and the shipped one where a test asks for it."""

from __future__ import annotations

import pytest

from probe_scout.probes.inlining import survey
from probe_scout.probes.inlining.survey.cell import Cell, read
from probe_scout.probes.inlining.survey.format import Table, encode

paths = survey.paths  # before tests/conftest.py takes the surveys away


def cell(text: str, missed: int = 0) -> Cell:
    return read(text, missed)


def table(raw: bytes, path: str = "x.survey") -> Table:
    return Table(lambda offset, size: raw[offset : offset + size], path)


@pytest.fixture
def shipped(monkeypatch):
    """The surveys that come with the package, and the user's own of this test."""
    monkeypatch.setattr("probe_scout.probes.inlining.survey.paths", paths)


@pytest.fixture
def surveys(monkeypatch, tmp_path):
    """surveys({release: {scope: {name: text}}}, shares): one survey in place of all; build-ids are RELEASE/SCOPE."""

    def put(kernels, shares=None):
        releases = list(kernels)
        files, names = [], {}
        for number, release in enumerate(releases):
            for scope, cells in kernels[release].items():
                files.append((number, scope, f"{release}/{scope}"))
                for name, text in cells.items():
                    row = names.setdefault(name, {}).setdefault(scope, [None] * len(releases))
                    row[number] = cell(text, 3 if text.startswith("partial") else 0)
        path = tmp_path / "one.survey"
        path.write_bytes(encode(releases, files, names, shares or {}))
        monkeypatch.setattr("probe_scout.probes.inlining.survey.paths", lambda: (str(path),))
        return path

    return put
