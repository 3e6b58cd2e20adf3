"""Why an answer is unknown, and the one thing that would end it."""

from __future__ import annotations

import pytest

from probe_scout.kernel.kernel import Kernel
from probe_scout.model.attach import BY_PERF
from probe_scout.model.target import parse
from probe_scout.probes.attach import evidence as verdict_evidence
from probe_scout.probes.attach import verdicts
from probe_scout.probes.explain import hazards
from tests.builders.tiny_kernel import LOCKDOWN, Changed

PARANOID = "proc/sys/kernel/perf_event_paranoid"
FTRACE = "proc/sys/kernel/ftrace_enabled"


def asked(kernel, name, attach):
    return verdicts.verdicts(kernel, parse(name), (attach,))[0]


def test_paranoid_is_named_with_its_value_and_the_setting_that_helps(tiny_kernel):
    kernel = tiny_kernel(("foo",), files={PARANOID: b"3\n"})._kernel
    kernel.set_caller({"may_bpf": True, "may_perfmon": True, "may_admin": False, "may_perf": None}.get)
    (unread,) = asked(kernel, "foo", "kprobe").unread
    assert unread.why.startswith("kernel.perf_event_paranoid is 3: ")
    assert unread.cure == "sysctl kernel.perf_event_paranoid=2"


def test_paranoid_that_cannot_be_read_is_said_so(tiny_kernel):
    kernel = tiny_kernel(("foo",))._kernel
    kernel.set_caller({"may_bpf": True, "may_perfmon": True, "may_admin": False, "may_perf": None}.get)
    (unread,) = asked(kernel, "foo", "kprobe").unread
    assert (unread.fact, unread.cure) == ("sysctl", f"read {PARANOID}")


def test_error_injection_is_evidence_of_its_own_where_it_is_not_built(tiny_kernel):
    """Where it is built its list is read; where it is not, the sets in the kernel's BTF decide, and that is said."""
    without = {"without": ("within_error_injection_list",), "config": {"CONFIG_FUNCTION_ERROR_INJECTION": None}}
    told = {
        built: verdict_evidence.function_evidence(tiny_kernel(("foo",), **kernel)._kernel, "foo", None).get(
            "error_injection"
        )
        for built, kernel in ((True, {}), (False, without))
    }
    none = "error injection is not built, and foo is in none of the kernel's fmod_ret sets"
    assert told == {True: None, False: none}


def test_booted_in_confidentiality_there_are_no_events(tiny_kernel):
    kernel = tiny_kernel(("foo",), lockdown="confidentiality", tracefs_empty=True)._kernel
    verdict = asked(kernel, "tp:sched:sched_switch", "tp")
    assert (verdict.answer, verdict.errno, verdict.errno_certain) == ("no", "EINVAL", True)
    assert asked(kernel, "tp:sched:sched_switch", "raw_tp").answer == "yes"


@pytest.mark.parametrize("closed", [{"denied": (LOCKDOWN,)}, {"lockdown": "integrity"}])
def test_an_empty_tracefs_alone_proves_nothing(tiny_kernel, closed):
    kernel = tiny_kernel(("foo",), tracefs_empty=True, **closed)._kernel
    assert asked(kernel, "tp:sched:sched_switch", "tp").answer == "unknown"


@pytest.mark.parametrize(
    ("lsm", "noted"), [("lockdown,capability,yama", ["silent.bpf_not_in_lsm"]), ("lockdown,yama,bpf", [])]
)
def test_lsm_without_bpf_is_accepted_and_never_called(tiny_kernel, lsm, noted):
    kernel = tiny_kernel(("bpf_lsm_file_open",), lsm=lsm)._kernel
    verdict = asked(kernel, "bpf_lsm_file_open", "lsm")
    assert (verdict.answer, [note.rule for note in verdict.notes]) == ("yes", noted)


@pytest.mark.parametrize(("value", "off"), [(b"0\n", True), (b"1\n", False)])
def test_ftrace_that_is_off_is_a_danger(tiny_kernel, value, off):
    opened = tiny_kernel(("foo", "gone_early init"), files={FTRACE: value})
    report = opened.check(["foo"], ["fentry"]).targets[0]
    assert [h.id for h in report.hazards] == ["hazard.ftrace_off"] * off
    assert [n.rule for v in report.verdicts for n in v.notes] == ["silent.ftrace_off"] * off
    assert opened.check(["tp:sched:sched_switch"], ["tp"]).targets[0].hazards == ()
    assert opened.check(["gone_early"], ["fentry"]).targets[0].hazards == ()  # refused anyway


def test_doctor_tells_switches_that_are_off(tiny_kernel):
    off = {FTRACE: b"0\n", "sys/kernel/debug/kprobes/enabled": b"0\n"}
    found = tiny_kernel(("foo",), files=off, lsm="lockdown,yama").doctor().findings
    assert [f.rule for f in found] == ["silent.ftrace_off", "silent.kprobes_off", "silent.bpf_not_in_lsm"]
    assert tiny_kernel(("foo",)).doctor().findings == ()


def test_the_cure_for_code_does_not_send_root_to_root(tiny_kernel, monkeypatch):
    source = tiny_kernel(("foo", "foo.cold notrace"))._kernel.source

    class Live(Changed):
        def describe(self):
            return self.source.describe()._replace(kind="live")

    monkeypatch.setattr("probe_scout.sources.kcore.read_text", refuse)
    for uid, says in ((0, "name the kernel's image with --vmlinux; for a module"), (1000, "or ask as root")):
        monkeypatch.setattr("os.geteuid", lambda uid=uid: uid)
        (unread,) = asked(Kernel(Live(source)), "foo.cold", "kprobe").unread
        assert says in unread.cure
        assert ("as root" in unread.cure) == (uid != 0)
    (unread,) = asked(Kernel(source), "foo.cold", "kprobe").unread
    assert "--with-code" in unread.cure


@pytest.mark.parametrize("attach", sorted(BY_PERF))
def test_disarmed_kprobes_are_told_for_every_type_that_registers_one(tiny_kernel, attach):
    kernel = tiny_kernel(("foo",), files={"sys/kernel/debug/kprobes/enabled": b"0\n"})._kernel
    assert [note.rule for note in verdict_evidence.notes(kernel, attach)] == ["silent.kprobes_off"]
    armed = tiny_kernel(("foo",), files={"sys/kernel/debug/kprobes/enabled": b"1\n"})._kernel
    assert verdict_evidence.notes(armed, attach) == ()


@pytest.mark.parametrize("attach", ["kprobe.multi", "kretprobe.multi", "fentry", "tp", "lsm"])
def test_disarmed_kprobes_do_not_concern_what_goes_another_way(tiny_kernel, attach):
    kernel = tiny_kernel(("foo",), files={"sys/kernel/debug/kprobes/enabled": b"0\n"})._kernel
    assert verdict_evidence.notes(kernel, attach) == ()


def refuse(path, address, size):
    from probe_scout.errors import Denied

    raise Denied(path, "Operation not permitted")


def test_hazard_of_ftrace_needs_a_type_that_uses_it():
    assert "tp" not in hazards._BY_FTRACE
    assert set(BY_PERF) <= set(hazards._BY_FTRACE)
