"""The runner without QEMU: panics, hangs, time limits, resuming, and answers that are none."""

from __future__ import annotations

import pytest

from tests.vm import asking, record
from tests.vm.asking import Answer, AskingFailed, Ended
from tests.vm.plan import Part, Question

QUESTIONS = [Question("kprobe", f"function_{n}") for n in range(1000)]


class FakeGuest:
    """Answers EINVAL in groups of 64, dies at some targets, and keeps what it was asked."""

    def __init__(self, dies_at=(), hangs_at=(), stops_after=None, accepts=()):
        self.dies_at, self.hangs_at, self.stops_after, self.accepts = (
            set(dies_at),
            set(hangs_at),
            stops_after,
            set(accepts),
        )
        self.boots = []

    def __call__(self, questions, careful, timeout_s):
        self.boots.append((len(questions), careful))
        out, group = [], []
        for n, question in enumerate(questions):
            if careful:
                out.append(f"S {n}\n")
            if question.target in self.dies_at:
                return Ended(asking.PANIC, "".join(out), "BUG: unable to handle page fault")
            if question.target in self.hangs_at:
                return Ended(asking.TIME_LIMIT, "".join(out), "")
            errno = "0\t-" if question.target in self.accepts else "EINVAL\tattach"
            group.append(f"{n}\t{errno}\t12\tmessage of {question.target}\n")
            if careful or len(group) == 64:
                out += group
                group = []
            if self.stops_after is not None and n + 1 == self.stops_after:
                return Ended(asking.TIME_LIMIT, "".join(out), "")
        return Ended(0, "".join(out + group) + f"END {len(questions)}\n", "")


def ask(tmp_path, guest, questions=QUESTIONS, **options):
    kept = asking.Record(tmp_path / "answers.tsv")
    said = []
    done = asking.ask(questions, kept, guest, limit_s=600, boot_s=60, say=said.append, **options)
    return done, asking.Record(tmp_path / "answers.tsv").answers, said


def test_every_question_is_answered_in_one_boot(tmp_path):
    guest = FakeGuest()
    done, answers, _ = ask(tmp_path, guest)
    assert done
    assert guest.boots == [(1000, False)]
    assert list(answers) == QUESTIONS
    assert answers[QUESTIONS[7]] == Answer("EINVAL", "attach", 12, "message of function_7")


def test_a_panic_is_pinned_on_the_question_that_was_announced_last(tmp_path):
    guest = FakeGuest(dies_at=["function_200", "function_777"])
    done, answers, said = ask(tmp_path, guest)
    assert done
    assert {q.target: a.errno for q, a in answers.items() if a.errno != "EINVAL"} == {
        "function_200": "crash",
        "function_777": "crash",
    }
    assert "page fault" in answers[Question("kprobe", "function_200")].message
    assert len(answers) == 1000
    # plain to 191, careful to 200, plain from 201 to 776's group, careful to 777, plain to the end
    assert [careful for _, careful in guest.boots] == [False, True, False, True, False]
    assert "crash: kprobe\tfunction_200" in said


def test_a_hang_is_told_from_slowness(tmp_path):
    guest = FakeGuest(hangs_at=["function_100"])
    done, answers, _ = ask(tmp_path, guest)
    assert done
    assert [q.target for q, a in answers.items() if a.errno == "hang"] == ["function_100"]
    slow = FakeGuest(stops_after=130)
    (tmp_path / "slow").mkdir()
    done, answers, _ = ask(tmp_path / "slow", slow)
    assert done
    assert {a.errno for a in answers.values()} == {"EINVAL"}
    assert len(slow.boots) == 8  # 128 answers a boot: the group of 64 that was not whole is asked again
    assert not any(careful for _, careful in slow.boots)


def test_what_is_answered_is_not_asked_again(tmp_path):
    ask(tmp_path, FakeGuest(), QUESTIONS[:400])
    again = FakeGuest()
    done, answers, _ = ask(tmp_path, again)
    assert done
    assert again.boots == [(600, False)]
    assert len(answers) == 1000


def test_a_record_cut_off_by_a_kill_goes_on(tmp_path):
    ask(tmp_path, FakeGuest(), QUESTIONS[:3])
    path = tmp_path / "answers.tsv"
    path.write_bytes(path.read_bytes()[:-9])
    again = FakeGuest()
    ask(tmp_path, again, QUESTIONS[:5])
    assert again.boots == [(3, False)]
    assert len(asking.read(path)) == 5


def test_guests_that_never_answer_end_in_a_sentence(tmp_path):
    with pytest.raises(AskingFailed, match=r"3 guests ended \(last with status 126\) without an answer: no root"):
        ask(tmp_path, lambda questions, careful, timeout_s: Ended(asking.PANIC, "", "no root"))


def test_a_lab_that_cannot_boot_is_told_at_once(tmp_path):
    with pytest.raises(AskingFailed, match="could not boot the guest: no qemu"):
        ask(tmp_path, lambda questions, careful, timeout_s: Ended(asking.LAB_ERROR, "", "no qemu"))


def test_the_time_limit_ends_asking_and_keeps_the_answers(tmp_path):
    kept = asking.Record(tmp_path / "answers.tsv")
    assert not asking.ask(QUESTIONS, kept, FakeGuest(), limit_s=0, boot_s=60, say=lambda text: None)
    assert kept.answers == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello\n", "line 1 is no answer"),
        ("0\tEINVAL\tattach\tsoon\t\n", "line 1 is no answer"),
        ("0\tEINVAL\tattach\t1\t\n7\tEINVAL\tattach\t1\t\n", "line 2 is no answer .question 7 of 3"),
        ("-1\tEINVAL\tattach\t1\t\n", "question -1 of 3"),
        ("0\t\tattach\t1\t\n", "no errno"),
        ("S x\n", "line 1"),
        ("0\t0\t-\t1\t\nEND 3\n", "with 1 answers to 3 questions"),
        ("END 4\n", "the prober read 4 questions and 3 were asked"),
        ("0\t0\t-\t1\t\n1\t0\t-\t1\t\n2\t0\t-\t1\t\nEND 3\n0\t0\t-\t1\t\n", "behind the END line"),
        ("\x00\x01\n", "line 1 is no answer"),
    ],
)
def test_bad_answers_get_a_sentence_with_the_line(text, said):
    with pytest.raises(AskingFailed, match=said):
        asking.parse(text, 3)


def test_a_cut_last_line_is_no_answer_yet():
    found = asking.parse("S 0\n0\t0\t-\t5\t\nS 1\n1\tEINV", 3)
    assert found.answers == {0: Answer("0", "-", 5, "")}
    assert (found.started, found.ended) == (1, False)


def test_a_bad_record_gets_a_sentence(tmp_path):
    path = tmp_path / "answers.tsv"
    path.write_text("kprobe\tvfs_read\t\t0\t-\t1\t\nkprobe vfs_write\n")
    with pytest.raises(AskingFailed, match="line 2 is no record of an answer: 'kprobe vfs_write'"):
        asking.Record(path)


def test_accepted_loads_are_followed_by_attaches_and_hazards_come_last(tmp_path):
    loads = Part("fmod_ret_load", [Question("fmod_ret_load", "security_a"), Question("fmod_ret_load", "other")], "", 1)
    hazards = Part("hazards", [Question("kprobe", "m_init.cold")], "", 1)
    guest = FakeGuest(dies_at=["m_init.cold"], accepts=["security_a"])
    assert record.ask_all([loads, hazards], tmp_path, guest, alone=FakeGuest(), limit_s=600, boot_s=60)
    found = asking.read(tmp_path / "answers.tsv")
    assert [(q.type, q.target, a.errno) for q, a in found] == [
        ("fmod_ret_load", "security_a", "0"),
        ("fmod_ret_load", "other", "EINVAL"),
        ("fmod_ret", "security_a", "0"),
        ("kprobe", "m_init.cold", "crash"),
    ]
    assert (tmp_path / "plan.tsv").read_text().startswith("fmod_ret of loaded\t1\tall 1")


def test_a_place_that_a_held_trampoline_had_taken_is_asked_again_alone(tmp_path):
    (tmp_path / "files" / "sys/kernel/tracing").mkdir(parents=True)
    listed = tmp_path / "files" / "sys/kernel/tracing/available_filter_functions"
    listed.write_text("device_show\nstatus_show [virtio]\n")
    (tmp_path / "files" / "proc").mkdir()
    (tmp_path / "files" / "proc/kallsyms").write_text("1000 t device_show\n1000 t another_show\n2000 t untraced\n")
    kept = asking.Record(tmp_path / "answers.tsv")
    busy, free = asking.Answer("EBUSY", "attach", 5, ""), asking.Answer("0", "-", 5, "")
    refused = asking.Answer("EINVAL", "attach", 5, "")
    wrong = [Question("fentry", "device_show"), Question("fexit", "virtio:status_show")]
    alias = Question("fentry", "another_show")
    right = Question("fentry", "untraced")
    kept.add({**dict.fromkeys(wrong, busy), alias: refused, right: busy, Question("kprobe", "device_show"): free})
    alone = FakeGuest(accepts=["device_show", "virtio:status_show", "another_show"])
    assert record.ask_all([], tmp_path, FakeGuest(), alone=alone, limit_s=600, boot_s=60)
    found = dict(asking.read(tmp_path / "answers.tsv"))
    assert [found[question].errno for question in (*wrong, alias, right)] == ["0", "0", "0", "EBUSY"]
    assert alone.boots == [(3, False)]
