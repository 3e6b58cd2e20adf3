"""`context` on an image, a recorded kernel, and in what it refuses. Fields against booted kernels: test_access.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import probe_scout
from probe_scout.commands.context import code_of
from probe_scout.errors import UsageError
from tests.builders import lab_image

ROOT = Path(__file__).resolve().parents[2]
RECORDED = str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz")


@pytest.fixture(scope="module")
def recorded():
    return probe_scout.open_kernel(RECORDED)


@pytest.fixture(scope="module")
def image():
    return lab_image.opened()


def fields(card):
    return {one.name: one for one in card.fields}


@pytest.mark.image
def test_words_of_fexit(image):
    report = image.context("vfs_read", ["fexit"])
    (card,) = report.cards
    assert (card.program, card.answer, card.size) == ("tracing", "yes", 40)
    assert [(one.name, one.slot, one.read) for one in card.fields] == [
        ("file", 0, "yes"),
        ("buf", 1, "yes"),
        ("count", 2, "yes"),
        ("pos", 3, "yes"),
        ("(returned)", 4, "yes"),
    ]
    assert fields(card)["file"].trusted is False
    assert "bpf_get_func_ret" in card.helpers
    assert "bpf_d_path" not in card.helpers
    assert "bpf_task_acquire" in card.kfuncs
    assert card.stub == "probe-scout stub vfs_read --attach fexit --program"
    assert code_of(report) == 0


@pytest.mark.image
def test_helpers_of_a_place(image):
    (card,) = image.context("filp_close", ["fentry"]).cards
    assert "bpf_d_path" in card.helpers


@pytest.mark.image
def test_registers_of_a_kprobe(image):
    (card,) = image.context("vfs_read", ["kprobe"]).cards
    assert fields(card)["count"].offset == 96
    assert fields(card)["buf"].read_with == "bpf_probe_read_kernel_str"
    (card,) = image.context("vfs_read", ["kretprobe"]).cards
    assert [(one.name, one.offset) for one in card.fields] == [("(returned)", 80)]


@pytest.mark.image
def test_an_event_has_a_card_for_each_form(image):
    cards = {card.title: card for card in image.context("sched:sched_switch").cards}
    assert list(cards) == ["tp", "raw_tp", "tp_btf"]
    assert fields(cards["tp"])["common_pid"].read == "no"
    assert fields(cards["tp"])["prev_pid"].offset == 24
    assert fields(cards["tp_btf"])["prev"].trusted is True


@pytest.mark.image
def test_a_hook_and_an_iterator(image):
    (card,) = image.context("lsm/file_open").cards
    assert [one.name for one in card.fields] == ["file", "(returned)"]
    (card,) = image.context("iter:task").cards
    assert (fields(card)["task"].may_be_null, fields(card)["meta"].may_be_null) == ("yes", "no")


@pytest.mark.image
@pytest.mark.parametrize(
    ("target", "name", "may_be_null", "trusted"),
    [
        ("iter:task", "meta", "no", True),
        ("iter:task", "task", "yes", True),  # kernel/bpf/task_iter.c: PTR_TO_BTF_ID_OR_NULL | PTR_TRUSTED
        ("iter:task_file", "file", "yes", False),  # PTR_TO_BTF_ID_OR_NULL
        ("iter:task_vma", "vma", "yes", False),
        ("iter:bpf_prog", "prog", "yes", False),  # kernel/bpf/prog_iter.c
        ("iter:bpf_map", "map", "yes", True),  # kernel/bpf/map_iter.c
        ("iter:cgroup", "cgroup", "yes", True),  # kernel/bpf/cgroup_iter.c
    ],
)
def test_arguments_of_an_iterator_are_what_it_registers(image, target, name, may_be_null, trusted):
    (card,) = image.context(target).cards
    assert (fields(card)[name].may_be_null, fields(card)[name].trusted) == (may_be_null, trusted)


def test_without_an_image_what_an_iterator_registers_is_unknown(recorded):
    (card,) = recorded.context("iter:task").cards
    assert [(one.name, one.may_be_null, one.trusted) for one in card.fields] == [
        ("meta", "no", True),
        ("task", "unknown", None),
    ]


@pytest.mark.image
def test_fields_of_a_program_type(image):
    cards = {card.attach: card for card in image.context("xdp").cards}
    assert fields(cards["xdp"])["data"].value == "ptr_to_packet"
    assert fields(cards["xdp"])["egress_ifindex"].read == "no"
    assert fields(cards["xdp_devmap"])["egress_ifindex"].read == "yes"
    (card,) = image.context("cgroup/connect4").cards
    assert (card.ctx, card.size) == ("struct bpf_sock_addr *", 72)
    assert (fields(card)["user_ip4"].write, fields(card)["user_ip6"].read) == ("yes", "no")
    (card,) = image.context("sched_cls", ()).cards[:1]
    assert (fields(card)["mark"].write, fields(card)["len"].write) == ("yes", "no")


@pytest.mark.image
def test_members_of_struct_ops(image):
    (one,) = image.context("struct_ops:bpf_dummy_ops").struct_ops
    members = {member.name: member for member in one.members}
    assert (members["test_1"].sleepable, members["test_sleepable"].sleepable) == ("no", "yes")
    assert members["test_1"].nullable == ("cb__nullable",)
    (one,) = image.context("struct_ops:tcp_congestion_ops").struct_ops
    assert {member.name for member in one.members if member.supported == "no"} == {"get_info"}


def test_without_an_image_fields_of_structs_are_unknown_and_arguments_are_not(recorded):
    report = recorded.context("xdp")
    assert {one.read for card in report.cards for one in card.fields} == {"unknown"}
    assert all(card.unread and card.unread[0].cure for card in report.cards)
    assert code_of(report) == 3
    (card,) = recorded.context("vfs_read", ["fentry"]).cards
    assert {one.read for one in card.fields} == {"yes"}
    assert card.kfuncs_unknown > 50


def test_what_the_kernel_refuses_exits_with_1(recorded):
    report = recorded.context("no_such_function", ["fentry"])
    assert report.cards[0].answer == "no"
    assert code_of(report) == 1
    assert code_of(recorded.context("struct_ops:no_such")) == 1


def test_patterns_and_types_that_do_not_fit_are_refused(recorded):
    with pytest.raises(UsageError):
        recorded.context("vfs_*")
    with pytest.raises(UsageError):
        recorded.context("vfs_read", ["tp"])


@pytest.mark.parametrize(
    ("target", "sections"),
    [
        ("sched:sched_switch", ["tp/sched/sched_switch", "raw_tp/sched_switch", "tp_btf/sched_switch"]),
        ("lsm/file_open", ["lsm/file_open"]),
        ("iter/task", ["iter/task"]),
        ("fentry/vfs_read", ["fentry/vfs_read"]),
        ("ksyscall/openat", ["ksyscall/openat"]),
    ],
)
def test_sections_are_those_that_libbpf_takes(recorded, target, sections):
    assert [card.section for card in recorded.context(target).cards] == sections
