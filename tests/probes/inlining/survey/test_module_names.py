"""Names that only a module's code has, inlined there, asked without the module."""

from __future__ import annotations

import pytest

from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import parse
from probe_scout.probes.inlining import coverage, survey
from probe_scout.sources import open_source

from .conftest import paths

NAME = "ext4_free_blocks_count"  # fs/ext4/ext4.h, static inline


@pytest.fixture
def k(monkeypatch):
    monkeypatch.setattr(survey, "paths", paths)
    return Kernel(open_source("fixtures/kernels/debian-6.12.107-amd64.tar.xz"))


def test_the_module_is_found_by_the_survey(k):
    told = coverage.surveyed(k, parse(NAME), NAME)
    assert (told.module, told.coverage.answer) == ("ext4", "none")
    assert told.coverage == coverage.surveyed(k, parse(f"ext4:{NAME}"), NAME).coverage


def test_of_a_module_that_is_not_loaded_nothing_is_foretold(k, monkeypatch):
    monkeypatch.setattr(k, "btf_modules", lambda: ("btrfs",))
    assert coverage.surveyed(k, parse(NAME), NAME) is None


def test_a_name_that_no_survey_has(k):
    assert coverage.surveyed(k, parse("zzz_nothing"), "zzz_nothing") is None
