"""The ladder as data: sound, closed, and only candidates."""

from __future__ import annotations

import pytest

from probe_scout.model.attach import ATTACH_TYPES
from probe_scout.model.target import parse
from probe_scout.probes.explain import known_changes

CHANGES = {"renamed", "specialised", "inlined", "bypassed", "replaced", "not_probed"}


@pytest.mark.parametrize("step", known_changes.KNOWN_CHANGES, ids=lambda step: step.asked)
def test_every_step_is_sound(step):
    parse(step.asked)
    assert step.change in CHANGES
    assert step.says.endswith(".")
    assert "{" not in step.says
    assert step.source
    assert step.candidates
    for candidate in step.candidates:
        target = parse(candidate.target)
        assert candidate.target != step.asked
        assert candidate.attaches
        for attach in candidate.attaches:
            assert target.kind in ATTACH_TYPES[attach].kinds.split()
        assert not candidate.sees.endswith(".")


def test_names_are_asked_once():
    names = [step.asked for step in known_changes.KNOWN_CHANGES]
    assert len(names) == len(set(names)) >= 40


def test_a_new_name_leads_back_to_the_old_one():
    step = known_changes.known_change("kernel_clone", "x86_64")
    assert step is not None
    assert step.candidates[0].target == "_do_fork"
    assert {"account_page_dirtied"} <= {
        c.target for c in known_changes.known_change("folio_account_dirtied", "x86_64").candidates
    }


def test_names_that_the_recorded_kernels_lost_lead_to_what_they_became():
    for old, new in (
        ("generic_file_splice_read", "filemap_splice_read"),
        ("user_path_at_empty", "user_path_at"),
        ("lookup_one_len", "lookup_noperm"),
        ("hrtimer_init", "hrtimer_setup"),
        ("security_task_getsecid", "security_task_getsecid_obj"),
        ("security_bpf_map_alloc", "security_bpf_map_create"),
        ("debugfs_create_file", "debugfs_create_file_full"),
        ("cgroup_rstat_flush", "css_rstat_flush"),
        ("submit_bh", "bh_submit"),
    ):
        step = known_changes.known_change(old, "x86_64")
        assert step is not None
        assert (step.change, step.candidates[0].target) == ("renamed", new)


def test_a_specialised_function_does_not_lead_back():
    assert known_changes.known_change("mutex_lock", "x86_64") is None
    assert known_changes.known_change("vfs_read", "x86_64") is None


def test_what_took_over_is_no_newer_name():
    """tcp_sendmsg was there long before tcp_sendpage went: it is no name of it."""
    step = known_changes.known_change("tcp_sendpage", "x86_64")
    assert step is not None
    assert (step.change, step.candidates[0].target) == ("replaced", "tcp_sendmsg")
    assert known_changes.known_change("tcp_sendmsg", "x86_64") is None


def test_wrappers_for_old_callers_are_said_to_be_passed_by():
    for old, new in (("unlock_page", "folio_unlock"), ("dev_set_mtu", "netif_set_mtu")):
        step = known_changes.known_change(old, "x86_64")
        assert step is not None
        assert (step.change, step.candidates[0].target) == ("bypassed", new)


def test_the_pairs_are_true_on_the_recorded_kernel(recorded):
    """What is said of 6.12 is read in its kallsyms: which of both names is there."""
    there = {line.split(maxsplit=3)[2] for line in recorded.read("proc/kallsyms").decode().splitlines()}
    pairs = [
        (old, new, had, has) for old, new, had, has in known_changes._PAIRS if has == "6.12" or had == "up to 6.12"
    ]
    assert len(pairs) > 40
    for old, new, had, has in pairs:
        assert (old in there, new in there) == (had == "up to 6.12", has == "6.12"), (old, new)
    for old, new, _ in known_changes._FALLBACKS:
        assert old not in there or new not in there, (old, new)
    assert all(old in there and new in there for old, new, _ in known_changes._WRAPPED[:7])
