"""One table of attach types: what belongs together is a column of model/attach.py, not a list by hand."""

from __future__ import annotations

import ast

from probe_scout.model import attach

from .tree import PACKAGE

# Files whose lists are no families: orders of advice, forms of ctx, and audit's words for what it finds.
OTHER_LISTS = {
    "model/stub.py": "forms of ctx",
    "commands/stub/__init__.py": "forms of ctx",
    "commands/stub/arguments.py": "forms of ctx",
    "commands/stub/bpftrace.py": "forms of ctx",
    "commands/stub/program.py": "forms of ctx",
    "commands/context.py": "forms of ctx",
    "probes/explain/alternatives.py": "orders of advice",
    "probes/explain/known_changes.py": "orders of advice",
    "probes/explain/has_symbol.py": "orders of advice",
    "commands/inline.py": "orders of advice",
    "model/attach.py": "the order of advice",
    "commands/audit/checks.py": "words for what is attached, of perf events and trace events too",
    "commands/audit/others.py": "words for what is attached, of perf events and trace events too",
    "commands/audit/join.py": "the kernel's names of perf events",
    "sources/bpf/objects.py": "the kernel's names of perf events",
    "rules/section_names.py": "libbpf's own table of section names",
    "rules/kprobe_instruction.py": "the two attach types that take an offset",
}


def groups(text: str) -> list[int]:
    """Lines with a literal of two attach types or more."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            words = [one.value for one in node.elts if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            # uprobe, uretprobe and usdt are also audit's and loaders' words for what they see, and kinds of events.
            names = {one for one in attach.NAMES if not one.startswith(("uprobe", "uretprobe", "usdt"))}
            if len(set(words) & names) > 1:
                found.append(node.lineno)
    return found


def test_no_group_of_attach_types_is_written_by_hand():
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} lists attach types: use a family of model/attach.py"
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in OTHER_LISTS
        for line in groups(path.read_text())
    ]
    assert wrong == []


def test_no_exception_is_left_over():
    assert [name for name in OTHER_LISTS if not groups((PACKAGE / name).read_text())] == []


def test_a_planted_group_is_caught():
    assert groups('x = 1\nif a in ("kprobe", "kretprobe"):\n    pass\n') == [2]
    assert groups('x = ("kprobe", "other")\n') == []


def test_families():
    """By kernel/trace/trace_kprobe.c, kernel/trace/bpf_trace.c, kernel/bpf/trampoline.c and libbpf's SEC table."""
    assert attach.BY_PERF == ("kprobe", "kretprobe", "ksyscall", "kretsyscall")
    assert attach.KPROBES == ("kprobe", "kretprobe")
    assert attach.BY_FPROBE == ("kprobe.multi", "kretprobe.multi", "kprobe.session")
    assert attach.BY_TRAMPOLINE == ("fentry", "fentry.s", "fexit", "fexit.s", "fsession", "fmod_ret", "fmod_ret.s")
    assert attach.BY_TRAMPOLINES == ("fentry.multi", "fexit.multi", "fsession.multi")
    assert (attach.LSM, attach.ITER) == (("lsm", "lsm.s", "lsm_cgroup"), ("iter", "iter.s"))
    assert attach.BY_EVENT == ("tp", "raw_tp", "tp_btf")
    user = {name for name in attach.ATTACH_TYPES if name.startswith(("uprobe", "uretprobe", "usdt"))}
    assert set(attach.USER_RETURNS) == {name for name in user if name.startswith("uretprobe") or "session" in name}
    assert set(attach.WITHOUT_FTRACE) - user == {
        *("tp", "tp.s", "raw_tp", "raw_tp.s", "raw_tp.w", "tp_btf", "tp_btf.s", "iter", "iter.s")
    }
    assert set(attach.RETURNS) == {
        *("kretprobe", "kretsyscall", "kretprobe.multi", "kprobe.session"),
        *("fexit", "fexit.s", "fexit.multi", "fsession", "fsession.multi"),
    }
    assert {one.by for one in attach.ATTACH_TYPES.values()} == {
        *("perf", "fprobe", "trampoline", "trampolines", "event", "tracepoint", "iterator"),
        *("uprobe", "uprobe_link"),
    }
