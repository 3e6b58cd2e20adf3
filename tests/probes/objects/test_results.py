"""Constants that a program returns and its type may not; maps with spin locks; maps that a helper does not take.

The answers are those of booted 5.10, 6.12 and 7.3.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import probe_scout
from probe_scout.formats.elf import bpf_object
from probe_scout.probes.objects import externs, program_code, program_limits, reach
from probe_scout.rules import section_names

from .test_program_limits import ROOT, compiled, pytestmark, said

__all__ = ("pytestmark",)
SOURCE = """
#define SEC(name) __attribute__((section(name), used))
typedef unsigned long long u64;
#define uint(name, val) int (*name)[val]
#define type(name, val) typeof(val) *name
static void *(*lookup)(void *m, const void *k) = (void *)1;
static unsigned (*random_number)(void) = (void *)7;
struct bpf_spin_lock { unsigned val; };
struct locked { int number; struct bpf_spin_lock lock; };
struct open { int number; unsigned lock; };
struct { uint(type, 1); uint(max_entries, 1); type(key, int); type(value, struct locked); } locks SEC(".maps");
struct { uint(type, 1); uint(max_entries, 1); type(key, int); type(value, struct open); } plain SEC(".maps");
SEC("fentry/vfs_read") int entry_zero(void *c) { return 0; }
SEC("fentry/vfs_read") int entry_one(void *c) { return 1; }
SEC("fexit/vfs_read") int exit_one(void *c) { return 1; }
SEC("kprobe/vfs_read") int kprobe_any(void *c) { return 77; }
SEC("cgroup/bind4") int bind_three(void *c) { return 3; }
SEC("cgroup/bind4") int bind_four(void *c) { return 4; }
SEC("cgroup/bind6") int bind_one(void *c) { return 1; }
SEC("cgroup/recvmsg4") int receive_one(void *c) { return 1; }
SEC("cgroup/recvmsg4") int receive_none(void *c) { return 0; }
SEC("cgroup/connect4") int connect_two(void *c) { return 2; }
SEC("cgroup_skb/egress") int egress_three(void *c) { return 3; }
SEC("cgroup_skb/ingress") int ingress_two(void *c) { return 2; }
SEC("sk_lookup") int pass(void *c) { return 1; }
SEC("sk_lookup") int pass_two(void *c) { return 2; }
SEC("tc") int any_verdict(void *c) { return 7; }
SEC("sockops") int sockops_minus(void *c) { return -1; }
SEC("cgroup/dev") int unknown_number(void *c) { return random_number() & 1; }
SEC("cgroup/dev") int on_one_path(void *c) { return random_number() == 5 ? 2 : 1; }
SEC("socket") int socket_locked(void *c) { int k = 0; return lookup(&locks, &k) != 0; }
SEC("socket") int socket_plain(void *c) { int k = 0; return lookup(&plain, &k) != 0; }
SEC("kprobe/vfs_read") int kprobe_locked(void *c) { int k = 0; return lookup(&locks, &k) != 0; }
SEC("tc") int tc_locked(void *c) { int k = 0; return lookup(&locks, &k) != 0; }
struct { uint(type, 15); uint(max_entries, 1); uint(key_size, 4); uint(value_size, 4); } sockets SEC(".maps");
struct { uint(type, 4); uint(max_entries, 1); uint(key_size, 4); uint(value_size, 4); } events SEC(".maps");
struct { uint(type, 27); uint(max_entries, 4096); } ring SEC(".maps");
static long (*update)(void *m, const void *k, const void *v, u64 f) = (void *)2;
static long (*output)(void *c, void *m, u64 f, void *d, u64 n) = (void *)25;
SEC("kprobe/vfs_read") int to_events(void *c) { int v = 0; return output(c, &events, 0, &v, 4); }
SEC("kprobe/vfs_read") int to_ring(void *c) { int v = 0; return output(c, &ring, 0, &v, 4); }
SEC("kprobe/vfs_read") int look_into_events(void *c) { int k = 0; return lookup(&events, &k) != 0; }
SEC("kprobe/vfs_read") int change_plain(void *c) { int k = 0; struct open v = {}; return update(&plain, &k, &v, 0); }
SEC("kprobe/vfs_read") int change_sockets(void *c) { int k = 0; return update(&sockets, &k, c, 0); }
SEC("tc") int change_from_tc(void *c) { int k = 0; return update(&sockets, &k, c, 0); }
char LICENSE[] SEC("license") = "GPL";
"""
REFUSED = {
    *("entry_one", "exit_one", "bind_four", "receive_none", "connect_two", "ingress_two", "pass_two"),
    *("sockops_minus", "socket_locked", "kprobe_locked"),
    *("to_ring", "look_into_events"),
}


@pytest.mark.parametrize(("kernel", "more"), [("6.12.107", {"on_one_path"}), ("5.10.223", {"bind_three"})])
def test_constants_and_locks(tmp_path, kernel, more):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / f"debian-{kernel}-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, SOURCE)).objects
    answers = {program.name: said(program) for program in found.kernels[0].programs}
    assert {name for name, answer in answers.items() if answer == "load EINVAL"} == REFUSED | more
    programs = {program.name: program for program in found.kernels[0].programs}
    rest = {name: programs[name].answer for name, answer in answers.items() if answer == "load None"}
    # By tc 7.3 refuses it, and no file tells; by a kprobe all do, EACCES or EINVAL by what is passed.
    assert rest == {"change_from_tc": "unknown", "change_sockets": "no"}
    assert set(answers.values()) == {"yes", "load EINVAL", "load None"}


class Types:
    """Two hooks, one without a result; `newer`: the kernel looks at what hooks return."""

    def __init__(self, newer, ids):
        self.newer, self.kernel, self.shown = newer, self, ids

    def ids(self):
        return self

    @property
    def visible(self):
        return self.shown

    def holds(self, title, name):
        return self.shown and title == "bool_lsm_hooks" and name == "bpf_lsm_inode_xattr_skipcap"

    def symbol_count(self, name):
        return int(self.newer)

    def find(self, name, kind):
        is_there = name == "bpf_retval_range" if not name.startswith("bpf_lsm_") else "absent" not in name
        return (self, 1) if is_there and (self.newer or name.startswith("bpf_lsm_")) else None

    def record(self, number):
        return _Record(number)

    def resolve(self, number):
        return number


class _Record:
    def __init__(self, number):
        self.number = number + 1 if number < 3 else 0


MINUS_ONE = (1 << 64) - 1


@pytest.mark.parametrize(
    ("newer", "shown", "hook", "value", "is_refused"),
    [
        (True, True, "file_open", 0, False),
        (True, True, "file_open", MINUS_ONE, False),
        (True, True, "file_open", (1 << 32) - 1, False),  # 32 bits count
        (True, True, "file_open", (1 << 64) - 4095, False),
        (True, True, "file_open", (1 << 64) - 4096, True),
        (True, True, "file_open", 1, True),
        (True, False, "file_open", 1, False),  # it may be one of the hooks that return 0 or 1
        (True, False, "file_open", 2, True),
        (True, True, "inode_xattr_skipcap", 1, False),
        (True, True, "inode_xattr_skipcap", MINUS_ONE, True),
        (True, True, "absent", 5, False),
        (False, True, "file_open", 5, False),
    ],
)
def test_what_lsm_hooks_may_return(newer, shown, hook, value, is_refused):
    section = section_names.of(f"lsm/{hook}")
    refusal = program_limits.result(Types(newer, shown), section, hook, frozenset((value,)))
    assert (refusal is not None) is is_refused
    assert refusal is None or (refusal.rule, refusal.errno) == ("object_load.result", "EINVAL")


KFUNCS = """
#define SEC(name) __attribute__((section(name), used))
extern void bpf_rcu_read_lock(void) __attribute__((section(".ksyms")));
#define TWICE bpf_rcu_read_lock(); bpf_rcu_read_lock();
SEC("tc") int ten_calls(void *c) { TWICE TWICE TWICE TWICE TWICE return 0; }
char LICENSE[] SEC("license") = "GPL";
"""


def test_calls_of_kfuncs_are_no_calls_of_functions_of_the_object(tmp_path):
    found = bpf_object.read(Path(compiled(tmp_path, KFUNCS)).read_bytes())
    (program,) = found.programs
    prepared = program_code.unrelocated(found, program_code.extent(found, program))
    program_code.refer(found, externs.Externs((externs.State("bpf_rcu_read_lock", False, None),), b""), prepared)
    walked = reach.reached(prepared.code, reach.Place(program.section_index, 0))
    assert len(prepared.kfuncs) == 10
    assert prepared.kfuncs.keys() <= walked.places
    assert not walked.calls


@pytest.mark.parametrize(
    ("source", "flags", "errno"),
    [
        (SOURCE, ("-g0",), "ENOENT"),  # maps without BTF
        ("extern int f(int); SEC int p(void *c) { return f(1); }", ("-g0",), "ESRCH"),
        ("extern int f(int); SEC int p(void *c) { return f(1); }", ("-g",), "ENOENT"),
        ('extern int f(int) __attribute__((section(".ksyms"))); SEC int p(void *c) { return f(1); }', ("-g",), ""),
    ],
)
def test_externs_and_maps_without_types(tmp_path, source, flags, errno):
    path = compiled(tmp_path, source.replace("SEC int", '__attribute__((section("tc"), used)) int'), flags)
    refusal = bpf_object.read(Path(path).read_bytes()).refusal
    assert (refusal.errno if refusal else "") == errno


ANONYMOUS = """
#define SEC(name) __attribute__((section(name), used))
struct outer { int x; struct { int a; } *in; } __attribute__((preserve_access_index));
SEC("raw_tp/sched_switch") int p(struct outer **c) {
    return __builtin_preserve_access_index(({ int *at = &c[0]->in->a; at; })) != 0; }
char LICENSE[] SEC("license") = "GPL";
"""
LINKED = """
#define SEC(name) __attribute__((section(name), used))
struct { int (*type)[1]; int (*max_entries)[7]; unsigned *key; long long *value; } one SEC(".maps"), two SEC(".maps");
static void *(*lookup)(void *m, const void *k) = (void *)1;
SEC("tc") int p(void *c) { unsigned k = 0; return lookup(&one, &k) != lookup(&two, &k); }
char LICENSE[] SEC("license") = "GPL";
"""


def test_a_relocation_of_a_type_without_a_name_costs_the_object(tmp_path):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, ANONYMOUS)).objects
    whole = found.kernels[0].object
    assert (whole.answer, whole.stage, whole.errno) == ("no", "load", "EINVAL")
    assert "anonymous" in whole.findings[0].says


def test_maps_of_a_linked_object_lie_where_its_types_say(tmp_path):
    raw = bytearray(Path(compiled(tmp_path, LINKED)).read_bytes())
    read = bpf_object.read(bytes(raw))
    assert {m.variable for m in read.maps} == {0, 32}
    records = read.records
    (datasec,) = [i for i in records.ids() if records.record(i).name == ".maps"]
    held = records.record(datasec)
    types = bytes(read.btf.words[held.at - 1 : held.at + 2 + 3 * held.vlen].tobytes())
    place = raw.find(types)
    linked = bytearray(types)
    linked[8:12] = (64).to_bytes(4, "little")  # the section's size, as the linker of BPF objects writes it
    raw[place : place + len(types)] = linked
    refusal = bpf_object.read(bytes(raw)).refusal
    assert refusal is not None
    assert refusal.errno == "RELOC"  # the offsets stayed zero: no map lies where the symbol is


@pytest.mark.parametrize(
    ("newer", "returns", "is_refused"),
    [
        (True, {1, 2}, True),
        (True, {None, 2}, True),
        (True, {1, None}, False),
        (False, {1, 2}, False),  # 5.10 and 6.1 loaded it: one exit was taken for the other
        (False, {None, 2}, False),
        (False, {2, 3}, True),
    ],
)
def test_one_of_several_results(newer, returns, is_refused):
    refusal = program_limits.result(Types(newer, True), section_names.of("cgroup/dev"), "", frozenset(returns))
    assert (refusal is not None) is is_refused
