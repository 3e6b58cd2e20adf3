"""An architecture whose rules are not known answers what does not hang on them, and says so of the rest."""

from __future__ import annotations

import pytest

from probe_scout.errors import UsageError
from probe_scout.kernel import text
from probe_scout.model.target import parse
from probe_scout.probes.attach import verdicts

SYMBOLS = ("foo", "bar notrace", "bar.cold notrace")
X86 = ("__x64_sys_bpf",)
PROBED = ("kprobe", "kretprobe", "fentry", "fexit", "fentry.s", "fsession", "fentry.multi")


@pytest.fixture
def answers(tiny_kernel):
    """Attach type to verdict, for one target on a kernel of one architecture."""

    def of(arch_symbols, target, types, **more):
        kernel = tiny_kernel(symbols=(*SYMBOLS, *arch_symbols), without=X86, **more)._kernel
        return {one.attach: one for one in verdicts.verdicts(kernel, parse(target), types)}

    return of


@pytest.mark.parametrize(
    ("symbol", "machine"), [("__riscv_sys_bpf", "riscv64"), ("__s390x_sys_bpf", "s390x"), ("__ia32_sys_bpf", "i686")]
)
@pytest.mark.parametrize("attach", PROBED)
def test_what_hangs_on_unknown_rules_is_unknown_with_one_sentence(answers, symbol, machine, attach):
    said = answers((symbol,), "foo", (attach,))[attach]
    if attach in ("fentry.s", "fsession") and said.answer == "no":  # the verifier's rules are the same everywhere
        assert said.findings[0].rule.startswith("attach_target.")
        return
    assert said.answer == "unknown"
    assert [gap.why for gap in said.unread] == [f"the rules of {machine} are not known here"]
    assert said.unread[0].fact == "architecture"


def test_an_architecture_told_by_the_configuration_alone(answers):
    said = answers((), "foo", ("kprobe",), config={"CONFIG_PPC64": "y"})["kprobe"]
    assert [gap.why for gap in said.unread] == ["the rules of ppc64le are not known here"]


def test_an_architecture_that_nothing_tells(answers):
    said = answers((), "foo", ("kprobe", "fentry"))
    assert {one.answer for one in said.values()} == {"unknown"}
    assert said["kprobe"].unread[0].why == "nothing that was read tells the kernel's architecture"


def test_rules_of_every_architecture_still_refuse(answers):
    said = answers(("__riscv_sys_bpf",), "bar", ("kprobe", "kprobe.multi"))
    assert (said["kprobe"].answer, said["kprobe"].errno) == ("no", "EINVAL")
    assert answers(("__riscv_sys_bpf",), "nowhere", ("kprobe",))["kprobe"].errno == "ENOENT"


def test_events_and_links_by_ftrace_do_not_hang_on_the_architecture(answers):
    assert answers(("__riscv_sys_bpf",), "foo", ("kprobe.multi",))["kprobe.multi"].answer == "yes"
    said = answers(("__riscv_sys_bpf",), "tp:sched:sched_switch", ("tp", "raw_tp", "tp_btf"))
    assert {one.answer for one in said.values()} == {"yes"}


@pytest.mark.parametrize(
    ("structs", "more", "answer"),
    [(4, {}, "yes"), (5, {}, "no"), (5, {"calc_arg_aux": 1}, "yes"), (12, {"calc_arg_aux": 1}, "yes")],
)
def test_arm64_passes_eight_words_until_its_jit_counts_the_stack(answers, structs, more, answer):
    said = answers(("__arm64_sys_bpf", *more), "foo", ("fentry",), prototypes={"foo": ("int", ["struct16"] * structs)})
    assert said["fentry"].answer == answer
    assert said["fentry"].errno == ("ENOTSUPP" if answer == "no" else None)


def test_arm64_refuses_functions_without_a_site_with_one_errno(answers):
    for target in ("bar", "mod:late", "start"):
        said = answers(("__arm64_sys_bpf", "late [mod] notrace", "start init notrace"), target, ("fentry",))["fentry"]
        assert (said.answer, said.errno, said.findings[-1].rule) == ("no", "ENOTSUPP", "trampoline.not_patched")


def test_code_of_another_architecture_is_not_recorded_as_x86s(tiny_kernel):
    kernel = tiny_kernel(symbols=("__arm64_sys_bpf",), without=X86)._kernel
    with pytest.raises(UsageError, match="code of aarch64 is not recorded"):
        text.slices_for_snapshot(kernel)


# Kernels that hide their lists: arm64 up to 6.1 is built without CONFIG_KALLSYMS_ALL.

SLEEPABLE_LIST = "bpf_lsm_is_sleepable_hook"
HOOKS = tuple(
    f"bpf_lsm_{hook}" for hook in ("file_open", "task_free", "path_chmod", "func_proto", "bprm_committed_creds")
)


@pytest.mark.parametrize(
    ("hook", "more", "answers_to"),
    [
        ("file_open", (SLEEPABLE_LIST,), ("yes", "yes")),
        ("task_free", (SLEEPABLE_LIST,), ("yes", "no")),
        ("path_chmod", (SLEEPABLE_LIST,), ("unknown", "unknown")),  # some kernels list it
        ("func_proto", (SLEEPABLE_LIST,), ("no", "no")),
        ("file_open", (), ("yes", "no")),  # the first list had one hook
        ("vm_enough_memory", (SLEEPABLE_LIST,), ("yes", "no")),
        ("vm_enough_memory", (SLEEPABLE_LIST, "bpf_lsm_get_retval_range"), ("unknown", "unknown")),
    ],
)
def test_hooks_of_a_kernel_that_hides_its_lists(answers, hook, more, answers_to):
    said = answers(
        ("__arm64_sys_bpf", "bpf_lsm_vm_enough_memory", *HOOKS, *more),
        f"bpf_lsm_{hook}",
        ("lsm", "lsm.s"),
        hide_ids=True,
    )
    assert (said["lsm"].answer, said["lsm.s"].answer) == answers_to


@pytest.mark.parametrize(
    ("hook", "answer"),
    [("file_open", "unknown"), ("func_proto", "no"), ("task_free", "no")],
)
def test_without_kallsyms_no_list_of_sleepable_hooks_is_taken_for_the_first(answers, hook, answer):
    """A root without kallsyms: the first list, of one hook, was taken (a no for 48 of 150 hooks of a booted 6.12)."""
    said = answers((*HOOKS,), f"bpf_lsm_{hook}", ("lsm.s",), hide_ids=True, missing=("proc/kallsyms",))
    assert said["lsm.s"].answer == answer


def test_the_assumption_about_hidden_lists_is_evidence(answers):
    (finding,) = answers(("__arm64_sys_bpf", *HOOKS), "bpf_lsm_func_proto", ("lsm",), hide_ids=True)["lsm"].findings
    assert finding.rule == "lsm_hook.not_a_hook"
    assert "union security_list_options" in finding.evidence


def test_what_the_trampoline_calls_is_denied_where_the_list_is_hidden(answers):
    def of(*more):
        return answers(("migrate_disable", "__arm64_sys_bpf", *more), "migrate_disable", ("fentry",), hide_ids=True)

    assert of()["fentry"].answer == "unknown"
    said = of("BPF_PROG_TYPE_SYSCALL")["fentry"]  # a name in BTF, as the enumerator is
    assert (said.answer, said.errno, said.findings[0].rule) == ("no", "EINVAL", "attach_target.denied")


@pytest.mark.parametrize(
    ("without", "answer"),
    [((), "yes"), (("BPF_TRACE_FENTRY_MULTI",), "unknown"), (("BPF_TRACE_FENTRY_MULTI", "BPF_TRACE_FSESSION"), "no")],
)
def test_whether_system_calls_may_sleep_where_the_lists_are_hidden(tiny_kernel, without, answer):
    call = "__arm64_sys_getpid"
    kernel = tiny_kernel(
        symbols=(call, "__arm64_sys_bpf"),
        without=(*X86, "within_error_injection_list", *without),
        config={"CONFIG_FUNCTION_ERROR_INJECTION": None},
        hide_ids=True,
    )._kernel
    assert verdicts.verdicts(kernel, parse(call), ("fentry.s",))[0].answer == answer


@pytest.mark.parametrize(
    ("name", "answer", "errno"),
    [
        ("chunk_alloc", "yes", None),  # an event's header registers the tracepoint
        ("pelt_tp", "no", "ENOENT"),  # declared alone, in the kernel proper
        ("own_tp", "unknown", None),  # declared alone in a module, whose BTF is not there
        ("sys_enter_open", "no", "ENOENT"),
    ],
)
def test_raw_tracepoints_of_a_kernel_that_hides_its_data(answers, name, answer, errno):
    events = (
        "btrfs:chunk_alloc noraw notyped",
        "syscalls:sys_enter_open noraw notyped",
        "syscalls:sys_exit_open noraw notyped",
    )
    iterators = ("__traceiter_chunk_alloc [btrfs]", "__traceiter_pelt_tp", "__traceiter_own_tp [btrfs]")
    said = answers(("__arm64_sys_bpf", *iterators), f"tp:{name}", ("raw_tp",), events=events)["raw_tp"]
    assert (said.answer, said.errno) == (answer, errno)


def test_what_explains_x86_is_not_said_of_others():
    from probe_scout.probes.explain import known_changes

    assert known_changes.known_change("do_page_fault", "x86_64") is not None
    assert known_changes.known_change("do_page_fault", "riscv64") is None
    assert known_changes.known_change("do_execve", "riscv64") is not None
