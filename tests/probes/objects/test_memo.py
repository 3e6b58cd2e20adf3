"""Steps worked out once, refusals included."""

from __future__ import annotations

import pytest

from probe_scout.probes.objects.memo import Memo


class Refusal(Exception):
    pass


def test_a_step_is_asked_once_for_each_key():
    memo, asked = Memo((Refusal,)), []
    assert [memo.once(key, lambda: asked.append(1) or len(asked)) for key in ("a", "a", "b", "a")] == [1, 1, 2, 1]


def test_no_answer_is_an_answer():
    memo, asked = Memo((Refusal,)), []
    assert [memo.once("a", lambda: asked.append(1)) for _ in range(2)] == [None, None]
    assert asked == [1]


def test_a_refusal_is_raised_again_and_not_asked_again():
    memo, asked = Memo((Refusal,)), []

    def refuse():
        asked.append(1)
        raise Refusal("no")

    for _ in range(3):
        with pytest.raises(Refusal, match="no"):
            memo.once("a", refuse)
    assert asked == [1]


def test_another_error_is_not_kept():
    memo, asked = Memo((Refusal,)), []

    def fail():
        asked.append(1)
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):
            memo.once("a", fail)
    assert asked == [1, 1]
