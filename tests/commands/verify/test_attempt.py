"""One attempt through a kernel made of lists: what is called, and that everything is closed, newest first."""

from __future__ import annotations

import struct

import pytest

from probe_scout.commands.verify import attr
from probe_scout.commands.verify.attempt import Question, Reply, ask, errno_name, module_btfs
from probe_scout.model.attach import NAMES, family
from tests.builders.fake_calls import FakeCalls

EINVAL, EBUSY, EAGAIN = 22, 16, 11
QUESTION = Question("vfs_read", "fentry", "vfs_read", btf_id=7, event_id=3, pmu=8)
PERF = ["load", "perf_open", "set_bpf", "close perf_open", "close load"]
LINK = ["load", "link", "close link", "close load"]
RAW = ["load", "raw_open", "close raw_open", "close load"]
WAYS = {
    **dict.fromkeys(("kprobe", "kretprobe", "ksyscall", "kretsyscall", "tp", "tp.s"), PERF),
    **dict.fromkeys(("kprobe.multi", "kretprobe.multi", "kprobe.session"), LINK),
    **dict.fromkeys(("fentry.multi", "fexit.multi", "fsession.multi", "iter", "iter.s"), LINK),
    **dict.fromkeys(("fentry", "fentry.s", "fexit", "fexit.s", "fsession", "fmod_ret", "fmod_ret.s"), RAW),
    **dict.fromkeys(("lsm", "lsm.s", "raw_tp", "raw_tp.s", "raw_tp.w", "tp_btf", "tp_btf.s"), RAW),
}

# verify refuses lsm_cgroup (a cgroup's processes would run it), and asks about no user functions.
ASKED = [name for name in NAMES if name not in ("lsm_cgroup", *family("uprobe uprobe_link"))]


def asked(attach, **options):
    calls = FakeCalls(**options)
    return ask(calls, QUESTION._replace(attach=attach), {}), calls


@pytest.mark.parametrize("attach", ASKED)
def test_each_type_attaches_and_detaches_newest_first(attach):
    reply, calls = asked(attach)
    assert (reply, calls.calls, calls.open_now()) == (Reply(), WAYS[attach], [])


@pytest.mark.parametrize("attach", ASKED)
def test_each_type_closes_all_when_interrupted_at_any_call(attach):
    for step in [call for call in WAYS[attach] if not call.startswith("close")]:
        calls = FakeCalls(raises={step: KeyboardInterrupt()})
        with pytest.raises(KeyboardInterrupt):
            ask(calls, QUESTION._replace(attach=attach), {})
        assert calls.calls[-1] == "close load" or step == "load"
        assert calls.open_now() == []


def test_a_refused_load_is_the_answer_and_attaches_nothing():
    words = "func 'x' arg0 type FLOAT is unsupported.\nprocessed 0 insns (limit 1000000)\n"
    reply, calls = asked("fentry", refuse={"load": EINVAL}, log=words)
    assert reply == Reply("EINVAL", "load", "func 'x' arg0 type FLOAT is unsupported.")
    assert calls.calls == ["load"]


def test_a_refused_attach_closes_the_program():
    reply, calls = asked("fentry", refuse={"raw_open": EBUSY})
    assert reply == Reply("EBUSY", "attach")
    assert calls.calls == ["load", "raw_open", "close load"]


def test_a_program_that_the_event_refuses():
    reply, calls = asked("tp", refuse={"set_bpf": EINVAL})
    assert reply == Reply("EINVAL", "attach")
    assert calls.calls == PERF


def test_no_kprobe_device():
    calls = FakeCalls()
    assert ask(calls, QUESTION._replace(attach="kprobe", pmu=0), {}).stage == "open"
    assert calls.calls == ["load", "close load"]


def test_an_error_while_attaching_closes_the_program():
    calls = FakeCalls(raises={"link": OSError("broken")})
    with pytest.raises(OSError, match="broken"):
        ask(calls, QUESTION._replace(attach="kprobe.multi"), {})
    assert calls.calls == ["load", "link", "close load"]


def test_a_verifier_that_was_interrupted_is_asked_again():
    reply, calls = asked("fentry", refuse={"load": EAGAIN})
    assert reply.errno == "EAGAIN"
    assert calls.calls == ["load"] * 5


def test_types_for_many_functions_name_theirs_at_the_link():
    _, calls = asked("fentry.multi")
    load, link = calls.attributes
    assert struct.unpack_from("=I", load, 108) == (0,)
    (ids_at,) = struct.unpack_from("=Q", link, 16)
    assert calls.memory[ids_at].bytes() == struct.pack("=I", 7)


def test_types_for_many_functions_ask_as_far_as_they_can_without_a_target():
    """A kernel that does not know the type refuses the load; one that does cannot be told the function."""
    question = QUESTION._replace(attach="fentry.multi", btf_id=0)
    assert ask(FakeCalls(refuse={"load": EINVAL}), question, {}) == Reply("EINVAL", "load")
    calls = FakeCalls()
    reply = ask(calls, question, {})
    assert (reply.errno, reply.stage, calls.calls) == ("ESRCH", "lookup", ["load", "close load"])


def test_symbols_of_kprobe_multi_are_a_list_of_pointers():
    _, calls = asked("kretprobe.multi")
    link = calls.attributes[1]
    flags, count, at = struct.unpack_from("=IIQ", link, 16)
    (name_at,) = struct.unpack("=Q", calls.memory[at].bytes())
    assert (flags, count, calls.memory[name_at].bytes()) == (1, 1, b"vfs_read\0")


def test_sleepable_types_set_the_flag():
    _, calls = asked("fexit.s")
    assert struct.unpack_from("=I", calls.attributes[0], 44) == (attr.SLEEPABLE,)


def test_a_module_is_named_by_its_btf():
    calls = FakeCalls()
    question = QUESTION._replace(module="xfs")
    assert ask(calls, question, {"xfs": 5}) == Reply()
    assert struct.unpack_from("=I", calls.attributes[0], 112) == (5,)
    assert ask(FakeCalls(), question, {}).stage == "lookup"


def test_the_btf_of_wanted_modules_is_kept_and_others_closed():
    calls = FakeCalls(btf={1: ("vmlinux", 1), 4: ("ext4", 1), 6: ("xfs", 0), 9: ("xfs", 1), 12: ("tun", 1)})
    held = []
    assert list(module_btfs(calls, frozenset(("xfs",)), held)) == ["xfs"]
    assert calls.open_now() == held
    assert [calls.opened[fd] for fd in held] == [9]


def test_btf_that_is_not_handed_out_is_left_out():
    calls = FakeCalls(btf={1: ("vmlinux", 1), 4: ("xfs", 1)}, refuse={"btf_fd": 1})
    assert module_btfs(calls, frozenset(("xfs",)), []) == {}
    assert calls.open_now() == []


@pytest.mark.parametrize(
    ("number", "name"),
    [(22, "EINVAL"), (524, "ENOTSUPP"), (95, "EOPNOTSUPP"), (11, "EAGAIN"), (35, "EDEADLK"), (999, "errno 999")],
)
def test_errnos_have_the_kernels_names(number, name):
    assert errno_name(number) == name
