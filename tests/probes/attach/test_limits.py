"""What goes past an accepted probe, inlining apart: each limit, and what takes it away."""

from __future__ import annotations

import pytest

from probe_scout.frontends.cli.pages import finding_pages
from probe_scout.probes.attach import limits

OPENAT = ["__x64_sys_openat", "__ia32_sys_openat", "__ia32_compat_sys_openat", "__x64_compat_sys_openat"]
NO_BPF = "lockdown,capability,landlock,yama,apparmor"
LSM_FILE = "sys/kernel/security/lsm"
HOOK = {"bpf_lsm_hooks": ("bpf_lsm_path_chmod",)}


def report(kernel, name, *types):
    return kernel.check([name], types).targets[0]


def found(kernel, name, *types):
    return {limit.id: limit for limit in report(kernel, name, *types).limits if limit.id != limits.MAXACTIVE}


@pytest.mark.parametrize("name", ["syscall:openat", "__x64_sys_openat"])
def test_32bit_programs_enter_by_the_compat_function(tiny_kernel, name):
    (limit,) = found(tiny_kernel(OPENAT), name, "kprobe", "fentry").values()
    assert (limit.id, limit.effect, limit.types) == (limits.COMPAT_ENTRY, "partial", ("kprobe", "fentry"))
    assert limit.says.startswith("Calls of 32-bit programs enter by __ia32_compat_sys_openat, past __x64_sys_openat")


@pytest.mark.parametrize(
    ("call", "symbols", "entry"),
    [
        ("close", ["__x64_sys_close", "__ia32_sys_close"], "__ia32_sys_close"),
        ("mmap", ["__x64_sys_mmap", "__ia32_sys_mmap", "__ia32_compat_sys_ia32_mmap"], "__ia32_compat_sys_ia32_mmap"),
        ("nanosleep", ["__x64_sys_nanosleep", "__ia32_sys_nanosleep_time32"], "__ia32_sys_nanosleep_time32"),
        ("accept", ["__x64_sys_accept", "__ia32_sys_accept"], None),  # 32-bit programs have socketcall and accept4
        ("getpid", ["__x64_sys_getpid = __ia32_sys_getpid"], None),  # one function
        ("close", ["__x64_sys_close"], None),  # built without CONFIG_IA32_EMULATION
    ],
)
def test_the_other_entry_is_what_the_32bit_table_holds(tiny_kernel, call, symbols, entry):
    told = found(tiny_kernel(symbols), f"syscall:{call}", "kprobe")
    assert [limit.evidence for limit in told.values()] == ([f"proc/kallsyms: {entry}"] if entry else [])


@pytest.mark.parametrize(
    ("default_off", "line", "certainty"),
    [
        (None, None, "is"),
        (None, b"quiet ia32_emulation=0", None),
        (None, b"ia32_emulation=off ia32_emulation=on", "is"),
        ("y", None, "likely"),
        ("y", b"quiet", None),
        ("y", b"ia32_emulation=1", "is"),
    ],
)
def test_a_boot_that_takes_no_32bit_programs_misses_none(tiny_kernel, default_off, line, certainty):
    files = {"proc/cmdline": line} if line is not None else {}
    options = {"CONFIG_IA32_EMULATION_DEFAULT_DISABLED": default_off}
    kernel = tiny_kernel(OPENAT, events=("syscalls:sys_enter_openat",), files=files, config=options)
    told = found(kernel, "syscall:openat", "kprobe", "tp")
    assert {limit.certainty for limit in told.values()} == ({certainty} if certainty else set())
    assert set(told) == ({limits.COMPAT_ENTRY, limits.COMPAT_EVENT} if certainty else set())


def test_events_of_single_calls_skip_32bit_programs_and_raw_ones_do_not(tiny_kernel):
    events = ("syscalls:sys_enter_openat", "syscalls:sys_exit_openat", "syscalls:sys_enter_accept")
    kernel = tiny_kernel(OPENAT, events=(*events, "raw_syscalls:sys_enter", "sched:sched_switch"))
    (limit,) = found(kernel, "tp:syscalls:sys_enter_openat", "tp").values()
    assert (limit.id, limit.types) == (limits.COMPAT_EVENT, ("tp",))
    assert "raw_syscalls:sys_exit sees" in found(kernel, "tp:syscalls:sys_exit_openat")[limits.COMPAT_EVENT].says
    assert found(kernel, "tp:syscalls:sys_enter_accept") == {}
    assert found(kernel, "tp:raw_syscalls:sys_enter") == {}
    assert found(kernel, "tp:sched:sched_switch") == {}
    assert found(tiny_kernel(events=events), "tp:syscalls:sys_enter_openat") == {}


def test_x32_programs_have_entries_for_few_calls(tiny_kernel):
    symbols = [f"__x64{word}_sys_{call}" for call in ("execve", "openat") for word in ("", "_compat")]
    kernel = tiny_kernel(symbols)
    (limit,) = found(kernel, "syscall:execve", "kprobe").values()
    assert (limit.id, limit.evidence) == (limits.X32_ENTRY, "proc/kallsyms: __x64_compat_sys_execve")
    assert found(kernel, "syscall:openat", "kprobe") == {}


def arm64(tiny_kernel, *symbols, **more):
    return tiny_kernel(["__arm64_sys_bpf", *symbols], without=("__x64_sys_bpf",), **more)


def test_arm64_shares_wrappers_but_for_compat_calls(tiny_kernel):
    kernel = arm64(tiny_kernel, "__arm64_sys_openat", "__arm64_compat_sys_openat", "__arm64_sys_close")
    assert set(found(kernel, "syscall:openat", "kprobe")) == {limits.COMPAT_ENTRY}
    assert found(kernel, "syscall:close", "kprobe") == {}


def test_a_call_without_a_number_is_not_made_by_64bit_programs(tiny_kernel):
    symbols = ("__arm64_sys_open", "__arm64_sys_openat")
    kernel = arm64(tiny_kernel, *symbols, events=("syscalls:sys_enter_openat",))
    told = report(kernel, "syscall:open", "kprobe", "tp")
    assert [limit.id for limit in told.limits] == [limits.NO_NUMBER]
    assert ("ksyscall", "syscall:openat") in {(one.attach, one.target) for one in told.alternatives}
    assert found(kernel, "syscall:openat", "kprobe") == {}
    both = arm64(tiny_kernel, *symbols, events=("syscalls:sys_enter_openat", "syscalls:sys_enter_open"))
    assert found(both, "syscall:open", "kprobe") == {}
    blind = arm64(tiny_kernel, *symbols, events=())
    assert found(blind, "syscall:open", "kprobe") == {}


def test_arm64_traces_no_exit_of_a_new_task(tiny_kernel):
    events = ("syscalls:sys_exit_clone", "syscalls:sys_exit_execve", "syscalls:sys_enter_clone")
    new = arm64(tiny_kernel, "syscall_trace_exit", "do_el0_mops", events=events)
    assert found(new, "tp:syscalls:sys_exit_clone", "tp")[limits.EXIT_NOT_TRACED].effect == "partial"
    assert found(new, "tp:syscalls:sys_exit_execve", "tp") == found(new, "tp:syscalls:sys_enter_clone", "tp") == {}
    old = arm64(tiny_kernel, "syscall_trace_exit", events=events)
    assert found(old, "tp:syscalls:sys_exit_execve", "tp")[limits.EXIT_NOT_TRACED].certainty == "unknown"
    assert found(tiny_kernel(events=events), "tp:syscalls:sys_exit_clone", "tp") == {}


def test_every_type_on_a_hook_of_bpf_is_silent_where_bpf_is_not_active(tiny_kernel):
    types = ("fentry", "fexit", "kprobe", "kprobe.multi", "lsm")
    quiet = report(tiny_kernel(["bpf_lsm_path_chmod"], lsm=NO_BPF, ids=HOOK), "bpf_lsm_path_chmod", *types)
    assert [(v.answer, [n.rule for n in v.notes]) for v in quiet.verdicts] == [("yes", ["silent.bpf_not_in_lsm"])] * 5
    assert [(limit.id, limit.effect, limit.types) for limit in quiet.limits] == [
        (limits.LSM_NOT_ACTIVE, "never", types)
    ]
    called = report(tiny_kernel(["bpf_lsm_path_chmod"], lsm=f"{NO_BPF},bpf", ids=HOOK), "bpf_lsm_path_chmod", *types)
    assert (called.limits, [v.notes for v in called.verdicts]) == ((), [()] * 5)


def test_hooks_of_other_modules_are_not_called_either(tiny_kernel):
    symbols = ["bpf_lsm_file_open", "selinux_file_open", "selinux_enable", "apparmor_file_open"]
    kernel = tiny_kernel(symbols, lsm=NO_BPF)
    told = report(kernel, "selinux_file_open", "fentry")
    assert [note.rule for note in told.verdicts[0].notes] == [limits.LSM_NOT_ACTIVE]
    assert found(kernel, "selinux_enable", "fentry") == {}  # not a hook
    assert found(kernel, "apparmor_file_open", "fentry") == {}


def test_an_unread_list_of_modules_leaves_a_hook_of_bpf_open(tiny_kernel):
    kernel = tiny_kernel(["bpf_lsm_file_open"], missing=("sys/kernel/security/lsm",))
    assert found(kernel, "bpf_lsm_file_open", "fentry")[limits.LSM_NOT_ACTIVE].certainty == "unknown"


def test_return_probes_follow_a_fixed_number_of_calls(tiny_kernel):
    told = report(tiny_kernel(["vfs_read"]), "vfs_read").limits
    assert [(limit.id, limit.types) for limit in told] == [(limits.MAXACTIVE, ("kretprobe",))]
    assert report(tiny_kernel(["vfs_read notrace"]), "vfs_read", "kretprobe").limits == ()


@pytest.mark.parametrize(
    ("name", "other", "limit"),
    [
        ("__cond_resched", "__SCT__cond_resched", limits.STATIC_CALL),
        ("native_queued_spin_lock_slowpath", "__pv_queued_spin_lock_slowpath", limits.ALTERNATIVE),
        ("irq_enter", "irq_enter_rcu", limits.ENTRY_COPY),
    ],
)
def test_calls_that_the_kernel_directs_elsewhere(tiny_kernel, name, other, limit):
    assert set(found(tiny_kernel([name, other]), name, "kprobe")) == {limit}
    assert found(tiny_kernel([name]), name, "kprobe") == {}


def test_a_kernel_locked_down_for_confidentiality_reads_no_kernel_memory_by_helpers(tiny_kernel):
    told = report(tiny_kernel(["vfs_read"], lockdown="confidentiality"), "vfs_read", "fentry", "kprobe.multi", "kprobe")
    assert [(v.answer, [n.rule for n in v.notes]) for v in told.verdicts] == [
        ("yes", [limits.KERNEL_READS]),
        ("yes", [limits.KERNEL_READS]),
        ("no", []),
    ]
    assert report(tiny_kernel(["vfs_read"], lockdown="integrity"), "vfs_read", "fentry").limits == ()


def test_no_return_is_lost_where_none_comes_or_no_probe_is_sure(tiny_kernel):
    """A function that never returns has its own note; an unknown answer is no probe."""
    never = report(tiny_kernel(["do_exit"], ids={"noreturn_deny": ("do_exit",)}), "do_exit", "kretprobe")
    assert [note.rule for note in never.verdicts[0].notes] == ["silent.never_returns"]
    assert never.limits == ()
    open_ = report(tiny_kernel(["vfs_read"], denied=("proc/kallsyms",)), "vfs_read", "kretprobe")
    assert (open_.verdicts[0].answer, open_.limits) == ("unknown", ())


@pytest.mark.parametrize(
    ("symbols", "more", "name", "types"),
    [
        # x86 has a number for open, whatever events were read.
        (["__x64_sys_open", "__x64_sys_openat"], {}, "syscall:open", ("kprobe",)),
        (["__x64_sys_execve"], {}, "syscall:execve", ("kprobe",)),  # no x32 entry was built
        (["__x64_sys_execve = __x64_compat_sys_execve"], {}, "syscall:execve", ("kprobe",)),  # one function
        (["__x64_sys_execve", "__x64_compat_sys_execve"], {}, "syscall:execve", ("tp",)),  # the event is of both
        (["syscall_trace_exit"], {}, "tp:syscalls:sys_exit_clone", ("tp",)),  # x86 traces it
        (["sys_exit_clone", "syscall_trace_exit"], {}, "sys_exit_clone", ("kprobe",)),  # a function of that name
        (["selinux_file_open", "bpf_lsm_file_open"], {"missing": (LSM_FILE,)}, "selinux_file_open", ("fentry",)),
        (["bpf_lsm_other"], {"lsm": NO_BPF, "ids": HOOK}, "bpf_lsm_other", ("fentry",)),  # no hook
    ],
)
def test_where_there_is_no_limit(tiny_kernel, symbols, more, name, types):
    events = ("syscalls:sys_enter_openat", "syscalls:sys_exit_clone", "syscalls:sys_enter_execve")
    assert found(tiny_kernel(symbols, events=events, **more), name, *types) == {}


def test_no_limit_of_a_function_is_told_for_its_event(tiny_kernel):
    """Types without a function have their own limits."""
    symbols = ("__arm64_sys_open", "__arm64_sys_openat", "sys_exit_clone", "syscall_trace_exit")
    kernel = arm64(tiny_kernel, *symbols, events=("syscalls:sys_enter_openat", "syscalls:sys_exit_clone"))
    assert found(kernel, "tp:syscalls:sys_enter_open", "raw_tp", "tp") == {}
    assert found(kernel, "sys_exit_clone", "kprobe") == {}


@pytest.mark.parametrize(
    ("prototype", "told"),
    [(("int", ["ptr __unused"]), False), (("int", ["ptr regs"]), True), (("int", ["ptr __unused", "int b"]), True)],
)
def test_where_addresses_are_hidden_the_prototype_tells_a_shared_stub(tiny_kernel, prototype, told):
    """SYSCALL_DEFINE0 names its argument __unused, and its entries are aliases of one stub."""
    symbols = ["__x64_sys_getpid", "__ia32_sys_getpid"]
    kernel = tiny_kernel(symbols, hidden=True, prototypes={"__x64_sys_getpid": prototype})
    assert (limits.COMPAT_ENTRY in found(kernel, "syscall:getpid", "kprobe")) is told
    untyped = tiny_kernel(["__x64_sys_getpid nobtf", "__ia32_sys_getpid"], hidden=True)
    assert limits.COMPAT_ENTRY in found(untyped, "syscall:getpid", "kprobe")


def test_a_list_of_modules_that_is_empty_leaves_every_hook_open(tiny_kernel):
    kernel = tiny_kernel(["selinux_file_open", "bpf_lsm_file_open"], lsm="")
    assert found(kernel, "selinux_file_open", "fentry")[limits.LSM_NOT_ACTIVE].certainty == "unknown"


@pytest.mark.parametrize("more", [{"hide_ids": True, "ids": HOOK}, {"without": ("bpf_lsm_hooks",)}])
def test_where_the_list_of_hooks_is_not_shown_the_name_makes_a_hook(tiny_kernel, more):
    kernel = tiny_kernel(["bpf_lsm_other"], lsm=NO_BPF, **more)
    assert set(found(kernel, "bpf_lsm_other", "fentry")) == {limits.LSM_NOT_ACTIVE}


def test_no_limit_is_given_for_types_that_are_refused(tiny_kernel):
    kernel = tiny_kernel(["irq_enter notrace", "irq_enter_rcu"], code={"irq_enter_rcu": ("55", ())})
    assert report(kernel, "irq_enter").limits == ()


def test_every_limit_has_a_page():
    ids = {getattr(limits, name) for name in dir(limits) if str(getattr(limits, name)).startswith("limit.")}
    assert len(ids) == 12
    assert ids <= {page.id for page in finding_pages()}


def test_a_modules_function_may_lie_where_freed_init_text_was(tiny_kernel):
    kernel = tiny_kernel(["vfs_read", "wake [tun]"])
    (limit,) = found(kernel, "wake", "kprobe", "fentry").values()
    assert (limit.id, limit.effect, limit.types) == (limits.STALE_BUG, "unknown", ("kprobe",))
    assert "2 of 33,790" in limit.says
    assert not found(kernel, "vfs_read", "kprobe")
    assert not found(kernel, "wake", "kprobe.multi")


def test_a_snapshot_with_code_tells_it(tiny_kernel):
    from probe_scout.formats import code_slices

    files = {"code/slices": code_slices.write_slices([])}
    assert not found(tiny_kernel(["vfs_read", "wake [tun]"], files=files), "wake", "kprobe")
