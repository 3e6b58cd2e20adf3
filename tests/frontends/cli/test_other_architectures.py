"""Every command on kernels of architectures whose rules are not known: an answer or a sentence, and nothing of x86."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probe_scout.__main__ import main

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
# Machine word to the wrapper of a system call and the option that tells it.
MACHINES = {
    "riscv64": ("__riscv_sys_", "CONFIG_ARCH_RV64I"),
    "s390x": ("__s390x_sys_", "CONFIG_S390"),
    "ppc64le": ("sys_", "CONFIG_PPC64"),
    "loongarch64": ("sys_", "CONFIG_LOONGARCH"),
    "armv7l": ("sys_", "CONFIG_ARM"),
    "i686": ("__ia32_sys_", "CONFIG_X86_32"),
}
LINES = (
    "check foo -v --all-types",
    "check foo+4 foo+1 -v",
    "check do_execve do_page_fault -v",
    "check syscall:bpf -v --all-types",
    "check tp:sched:sched_switch -v --all-types",
    "check helper:bpf_override_return --type kprobe",
    "check helper:bpf_get_func_arg --type fentry",
    "scan f*",
    "stub foo --attach kprobe",
    "stub foo --attach kretprobe --program",
    "stub foo --attach fentry --program",
    "stub foo --attach kprobe --lang go",
    "stub sched:sched_switch",
    "tracepoint sched:sched_switch",
    "context foo --type kprobe",
    "context foo --type fentry",
    "context xdp",
    "features",
    "kfunc bpf_task_acquire",
    "inline foo",
    "doctor",
    "audit",
)
LEAKS = re.compile(
    r"__x64_|endbr|\bint3\b|EILSEQ|exc_page_fault|\bx86\b|\b(rdi|rsi|orig_ax)\b|--vmlinux vmlinuz"
    r"|name the kernel's image|defect|Traceback",
    re.IGNORECASE,
)


@pytest.fixture
def ask(tiny_folder, capsys, monkeypatch, tmp_path):
    """ask(machine, words) gives the exit code and what was said; the kernel is built like 6.12's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folders = {}

    def of(machine, words):
        prefix, option = MACHINES[machine]
        if machine not in folders:
            folders[machine] = tiny_folder(
                symbols=("foo", "do_exit", f"{prefix}bpf"),
                prototypes={"foo": ("int", ["ptr", "int"])},
                without=("__x64_sys_bpf", "__x64_sys_uretprobe"),
                config={option: "y"},
            )
        code = main(["--root", str(folders[machine]), *words.split()])
        said = capsys.readouterr()
        return code, said.out + said.err

    return of


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_of_x86_is_said(ask, machine):
    for line in LINES:
        code, said = ask(machine, line)
        prefix = "__ia32_sys_" if machine == "i686" else "\0"
        leaks = [text for text in said.replace(prefix, "").splitlines() if LEAKS.search(text)]
        leaks = [text for text in leaks if "by four recorded x86-64 kernels" not in text]
        assert (line, code in (0, 1, 2, 3), leaks) == (line, True, [])


@pytest.mark.parametrize("machine", MACHINES)
def test_what_hangs_on_rules_names_the_architecture(ask, machine):
    code, said = ask(machine, "check foo --type kprobe,fentry -v")
    assert code == 3
    assert f"the rules of {machine} are not known here" in said
    code, said = ask(machine, "check foo --type kprobe.multi -v")
    assert (code, "EOPNOTSUPP" in said) == ((1, True) if machine in ("armv7l", "i686") else (0, False))
    assert ask(machine, "check tp:sched:sched_switch --type tp,raw_tp,tp_btf")[0] == 0


@pytest.mark.parametrize("machine", ["riscv64", "armv7l"])
def test_objects_and_lists_of_hooks(ask, machine, tmp_path):
    hooks = tmp_path / "hooks.txt"
    hooks.write_text("foo\ntp:sched:sched_switch\n")
    root = tmp_path / "kernel0"
    ask(machine, "doctor")
    for line in (f"lint {FIXTURES / 'objects' / 'maps.bpf.o'}", f"matrix {hooks}"):
        code, said = ask(machine, f"{line} --root {root}")
        assert (code in (0, 1, 3), LEAKS.search(said)) == (True, None)
