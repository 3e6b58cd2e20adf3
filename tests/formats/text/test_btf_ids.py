"""BTF id sets from __BTF_ID__ symbols."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.formats.text import btf_ids
from tests.builders.damage import EXAMPLES, damaged

# include/linux/btf_ids.h: a set's symbol stands before its members; BTF_ID_LIST shares its first member's address.
RAW = b"""\
ffffffff82a00000 r before
ffffffff82a00004 r __BTF_ID__set__btf_id_deny
ffffffff82a00008 r __BTF_ID__func__migrate_disable__680
ffffffff82a0000c r __BTF_ID__func____rcu_read_lock__684
ffffffff82a00010 r __BTF_ID__set8__hid_bpf_fmodret_ids
ffffffff82a00018 r __BTF_ID__func__hid_bpf_device_event__12
ffffffff82a00020 r bpf_map_iter_ids
ffffffff82a00024 r __BTF_ID__func__not_in_any_set__3
ffffffff82a00028 r __BTF_ID__set__noreturn_deny
ffffffff82a0002c r __BTF_ID__func__do_exit__1
ffffffff82a00030 r __BTF_ID__struct__task_struct__2
ffffffffc0200008 r __BTF_ID__func__nf_hook__2\t[nf]
ffffffffc0200004 r __BTF_ID__set__nf_ids\t[nf]
"""


def test_sets_and_members():
    found = btf_ids.table(RAW)
    assert found.visible
    assert found.sets == {
        "btf_id_deny": {"migrate_disable", "__rcu_read_lock"},
        "hid_bpf_fmodret_ids": {"hid_bpf_device_event"},
        "noreturn_deny": {"do_exit"},
        "nf_ids": {"nf_hook"},
    }


def test_members_are_found_by_set_and_name():
    found = btf_ids.table(RAW)
    assert found.holds("btf_id_deny", "migrate_disable")
    assert not found.holds("noreturn_deny", "migrate_disable")
    assert not found.holds("no_such_set", "migrate_disable")
    assert not found.holds("bpf_map_iter_ids", "not_in_any_set")


def test_a_kernel_that_hides_data_symbols_shows_no_sets():
    """Without CONFIG_KALLSYMS_ALL the sets are there and cannot be seen: not the same as empty."""
    assert btf_ids.table(b"ffffffff81000000 T vfs_read\n") == btf_ids.BtfIdSets(False, {})
    assert btf_ids.table(b"") == btf_ids.BtfIdSets(False, {})


def test_an_empty_set_is_visible():
    found = btf_ids.table(b"ffffffff82a00004 r __BTF_ID__set__btf_id_deny\n")
    assert found == btf_ids.BtfIdSets(True, {"btf_id_deny": frozenset()})


def test_hidden_addresses_leave_the_order():
    raw = b"".join(b"0" * 16 + line[16:] + b"\n" for line in RAW.splitlines()[:10])
    assert btf_ids.table(raw).sets["btf_id_deny"] == {"migrate_disable", "__rcu_read_lock"}
    assert btf_ids.table(raw).sets["noreturn_deny"] == {"do_exit"}


def test_a_list_ends_the_set_though_its_name_stands_behind_its_first_member():
    raw = b"""\
ffffffff82a00004 r __BTF_ID__set__one
ffffffff82a00008 r __BTF_ID__func__in_one__1
ffffffff82a0000c r __BTF_ID__func__in_a_list__2
ffffffff82a0000c r some_list
"""
    assert btf_ids.table(raw).sets == {"one": {"in_one"}}


def test_the_sets_of_a_recorded_kernel(recorded):
    found = btf_ids.table(recorded.read("proc/kallsyms"))
    assert found.holds("btf_id_deny", "migrate_disable")
    assert found.holds("noreturn_deny", "do_exit")
    assert len(found.sets["bpf_lsm_hooks"]) > 200
    assert found.sets["sleepable_lsm_hooks"] < found.sets["bpf_lsm_hooks"]


NAMES = st.lists(st.sampled_from(("f", "g", "f__1", "__h", "a.b")), unique=True, max_size=4)


@pytest.mark.property
@EXAMPLES
@given(st.dictionaries(st.sampled_from(("one", "two", "a__b")), NAMES, min_size=1), st.sampled_from((None, "m")))
def test_every_member_that_was_written_is_found(sets, module):
    address, text = 0xFFFFFFFF82A00000, ""
    tail = f"\t[{module}]" if module else ""
    for title, members in sets.items():
        text += f"{address:016x} r __BTF_ID__set__{title}{tail}\n"
        address += 4
        for number, member in enumerate(members):
            text += f"{address:016x} r __BTF_ID__func__{member}__{number}{tail}\n"
            address += 4
    assert btf_ids.table(text.encode()).sets == {title: frozenset(members) for title, members in sets.items()}


@pytest.mark.property
@EXAMPLES
@given(damaged(RAW))
def test_damaged_files_raise_nothing_and_invent_no_name(raw):
    """The symbol table has judged the file before; here any bytes give sets of names that stand in them."""
    for members in btf_ids.table(raw).sets.values():
        assert all(member.encode() in raw or "\ufffd" in member for member in members)
