"""The process that holds what is attached: real processes, a kernel made of lists."""

from __future__ import annotations

import os
import signal
import time

import pytest

from probe_scout.commands.verify.attempt import NOT_ASKED, Question, Reply
from probe_scout.commands.verify.child import ask_all
from tests.builders.fake_calls import FakeCalls

QUESTIONS = [Question(name, "kprobe.multi", name) for name in ("a", "b", "c")]


class Slow(FakeCalls):
    """Hangs while the second question is attached."""

    def bpf(self, command, attribute):
        done = super().bpf(command, attribute)
        if self.calls.count("link") == 2:
            time.sleep(60)
        return done


class Dying(FakeCalls):
    def bpf(self, command, attribute):
        if self.calls.count("link") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().bpf(command, attribute)


def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as handle:
        return handle.read().split()


def test_replies_come_in_order_and_the_child_ends():
    assert list(ask_all(QUESTIONS, calls=FakeCalls(refuse={"link": 3}))) == [Reply("ESRCH", "attach")] * 3
    assert children() == []


def test_no_question_starts_no_process(monkeypatch):
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process was started"))
    assert list(ask_all([], calls=FakeCalls())) == []


def test_a_time_limit_ends_the_child_and_the_rest_is_not_asked():
    replies = list(ask_all(QUESTIONS, limit_s=0.3, calls=Slow()))
    assert [reply.stage for reply in replies] == ["", NOT_ASKED, NOT_ASKED]
    assert replies[1].message == "no reply within 0.3 seconds, so the attempt was ended"
    assert children() == []


def test_a_child_that_is_killed_is_told():
    replies = list(ask_all(QUESTIONS, calls=Dying()))
    assert [reply.message for reply in replies] == [
        "",
        "the process that asked ended without a reply",
        "an earlier attempt did not come back",
    ]


def test_an_error_in_the_child_is_told():
    replies = list(ask_all(QUESTIONS, calls=FakeCalls(raises={"link": ValueError("x")})))
    assert replies[0] == Reply("", NOT_ASKED, "a defect of probe-scout: ValueError: x")
    assert len(replies) == 3


def test_an_interrupt_ends_the_child():
    """^C in the middle of an attempt: the first reply has come, so the child runs and the caller waits for it."""

    def interrupt(*_):
        raise KeyboardInterrupt

    replies = ask_all(QUESTIONS, calls=Slow())
    next(replies)
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(replies)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert children() == []


def test_leaving_early_ends_the_child():
    replies = ask_all(QUESTIONS, calls=Slow())
    next(replies)
    replies.close()
    assert children() == []
