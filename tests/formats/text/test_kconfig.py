"""A kernel's configuration, plain and compressed."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.text import kconfig
from tests.builders.damage import EXAMPLES, answer, damaged
from tests.builders.small_files import kconfig as write

CONFIG = write(
    [
        ("CONFIG_KPROBES", "y"),
        ("CONFIG_KPROBES_ON_FTRACE", "m"),
        ("CONFIG_FPROBE", None),
        ("CONFIG_LSM", '"lockdown,bpf"'),
        ("CONFIG_QUOTED", r'"a \"b\" \\c"'),
        ("CONFIG_HZ", "250"),
        ("CONFIG_EMPTY", '""'),
    ]
)


@pytest.mark.parametrize("raw", [CONFIG, gzip.compress(CONFIG)], ids=["plain", "gzip"])
def test_values_of_options(raw):
    assert kconfig.find(raw, "CONFIG_KPROBES") == "y"
    assert kconfig.find(raw, "CONFIG_KPROBES_ON_FTRACE") == "m"
    assert kconfig.find(raw, "CONFIG_LSM") == "lockdown,bpf"
    assert kconfig.find(raw, "CONFIG_QUOTED") == r'a "b" \c'
    assert kconfig.find(raw, "CONFIG_HZ") == "250"
    assert kconfig.find(raw, "CONFIG_EMPTY") == ""


def test_off_and_absent_are_not_set():
    assert kconfig.find(CONFIG, "CONFIG_FPROBE") is None
    assert kconfig.find(CONFIG, "CONFIG_KPROBE") is None
    assert kconfig.find(CONFIG, "KPROBES") is None


def test_the_last_line_about_an_option_counts():
    off_then_on = write([("CONFIG_A", None), ("CONFIG_A", "y")])
    on_then_off = write([("CONFIG_A", "y"), ("CONFIG_A", None)])
    assert kconfig.find(off_then_on, "CONFIG_A") == "y"
    assert kconfig.find(on_then_off, "CONFIG_A") is None
    assert kconfig.table(on_then_off) == {}


def test_compressed_data_that_is_cut_off_is_malformed():
    packed = gzip.compress(CONFIG)
    for length in range(2, len(packed)):
        with pytest.raises(Malformed):
            kconfig.find(packed[:length], "CONFIG_HZ")
    with pytest.raises(Malformed, match="the end of the gzip data"):
        kconfig.plain(packed + b"x")


def test_compressed_data_is_unpacked_up_to_a_limit():
    with pytest.raises(Malformed, match="at most"):
        kconfig.plain(gzip.compress(b"\0" * (kconfig.LIMIT_BYTES + 1)))


def test_other_lines_are_malformed():
    with pytest.raises(Malformed) as caught:
        kconfig.table(b"CONFIG_A=y\nhello\n")
    assert caught.value.offset_bytes == 11


OPTIONS = st.lists(
    st.tuples(
        st.sampled_from(("CONFIG_A", "CONFIG_AB", "CONFIG_B", "CONFIG_A_B")),
        st.sampled_from((None, "y", "m", "0x10", '"x=y"', "-3")),
    )
)


@pytest.mark.property
@EXAMPLES
@given(OPTIONS)
def test_one_option_and_all_options_agree(options):
    raw = write(options)
    every = kconfig.table(raw)
    assert {name for name, value in options if value} >= set(every)
    for name in ("CONFIG_A", "CONFIG_AB", "CONFIG_B", "CONFIG_A_B", "CONFIG_"):
        assert kconfig.find(raw, name) == every.get(name)


@pytest.mark.property
@EXAMPLES
@given(damaged(gzip.compress(CONFIG, mtime=0)))
def test_damaged_gzip_is_text_or_malformed(raw):
    every = answer(kconfig.table, raw)
    if every is not None:
        assert kconfig.find(raw, "CONFIG_HZ") == every.get("CONFIG_HZ")
