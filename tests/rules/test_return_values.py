"""What programs return: a row for every type that libbpf loads by itself, with its place in the kernel's source."""

from __future__ import annotations

import re

import pytest

from probe_scout.rules import return_values, section_names

# What they belong to decides; raw infrared codes are handed on by bpf_rc_repeat and its like, and nothing is returned.
OTHERS = {"EXT", "STRUCT_OPS", "LIRC_MODE2"}


@pytest.mark.parametrize("row", {(one.program, one.attach) for one in section_names.TABLE}, ids="/".join)
def test_every_type_has_a_row_with_its_source(row):
    found = return_values.of(*row)
    assert (found is None) == (row[0] in OTHERS)
    if found is not None:
        assert re.fullmatch(r"[a-z0-9_/-]+\.[ch], (enum )?\w+", found.source)


def test_rows_name_attach_types_that_there_are():
    known = {(one.program, one.attach) for one in section_names.TABLE} | {("SCHED_CLS", "NETKIT_PEER")}
    assert set(return_values._BY_ATTACH) - known == set()


def test_what_the_verifier_refuses():
    """return_retval_range of 7.3."""
    assert return_values.of("TRACING", "TRACE_FENTRY").is_enforced
    assert not return_values.of("TRACING", "MODIFY_RETURN").is_enforced
    assert not return_values.of("KPROBE", "").is_enforced
    assert return_values.of("KPROBE", "TRACE_KPROBE_SESSION").is_enforced
    assert return_values.of("CGROUP_SOCK_ADDR", "CGROUP_UDP4_RECVMSG").says.startswith("1:")
    assert not return_values.of("XDP", "XDP").is_enforced
