"""Parts that are kept between runs: given back as they were, or not at all."""

from __future__ import annotations

import os

import pytest

from probe_scout.sources import cache, kept_index

PARTS = {"one": b"first part", "two": bytes(range(256)) * 9, "none": b""}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "probe-scout"


def stored(question: str = "question"):
    kept_index.store(question, PARTS)
    return kept_index.path_of(question)


def test_parts_come_back_as_they_were():
    path = stored()
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert kept_index.is_kept("question")
    assert not kept_index.is_kept("other")
    found = kept_index.load("question")
    for name, data in PARTS.items():
        assert bytes(found.whole(name)) == bytes(found.part(name)) == data
    assert found.whole("absent") is None
    assert found.part("absent") is None
    assert kept_index.load("other") is None


def test_another_question_in_the_same_file_is_not_answered(monkeypatch):
    path = stored()
    monkeypatch.setattr(kept_index, "path_of", lambda question: path)
    assert kept_index.load("question") is not None
    assert kept_index.load("other") is None


def test_nothing_that_was_altered_is_believed():
    path = stored()
    with open(path, "rb") as handle:
        good = handle.read()
    lost = 0
    for at in range(0, len(good), 3):
        changed = bytearray(good)
        changed[at] ^= 0x20
        with open(path, "wb") as handle:
            handle.write(changed)
        found = kept_index.load("question")
        for name, data in PARTS.items():
            kept = found.whole(name) if found is not None else None
            assert kept is None or bytes(kept) == data
            lost += kept is None
    assert lost > len(good) // 4
    for size in (0, 5, len(good) // 2, len(good) - 1):
        with open(path, "wb") as handle:
            handle.write(good[:size])
        assert kept_index.load("question") is None


def test_files_of_others_and_open_ones_are_left_alone(monkeypatch):
    path = stored()
    os.chmod(path, 0o640)
    assert kept_index.load("question") is None
    os.chmod(path, 0o600)
    assert kept_index.load("question") is not None
    monkeypatch.setattr(cache.os, "geteuid", lambda: 1 + os.stat(path).st_uid)
    assert kept_index.load("question") is None


def test_a_link_is_not_followed(tmp_path):
    path = stored()
    os.replace(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    assert kept_index.load("question") is None


def test_nothing_is_kept_where_the_cache_is_off(monkeypatch, folder):
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    kept_index.store("question", PARTS)
    assert not folder.exists()
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "on")
    stored()
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    assert kept_index.load("question") is None


def test_the_oldest_are_given_back(monkeypatch, folder):
    monkeypatch.setattr(kept_index, "_BYTES_MAX", 40_000)
    for number in range(30):
        path = stored(f"question {number}")
        os.utime(path, (number, number))
    assert sum(entry.stat().st_size for entry in folder.iterdir()) <= 40_000
    assert kept_index.is_kept("question 29")
    assert not kept_index.is_kept("question 0")


def test_what_a_killed_process_was_writing_is_given_back(folder):
    path = stored()
    for name, when in ((f"{path}.77", 5), (f"{path}.78", None)):
        with open(name, "w"):
            pass
        if when is not None:
            os.utime(name, (when, when))
    stored("another question")
    assert not os.path.exists(f"{path}.77")
    assert os.path.exists(f"{path}.78")  # of a process that may be at it
    assert kept_index.is_kept("question")


def test_one_in_use_is_given_back_last():
    path = stored()
    os.utime(path, (5, 5))
    kept_index.load("question")
    assert os.stat(path).st_mtime > 1_000_000
