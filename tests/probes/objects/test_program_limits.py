"""What attach types and what is loaded together decide; the answers are those of libbpf 1.8 on booted kernels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import probe_scout

ROOT = Path(__file__).resolve().parents[3]
SOURCE = """
#define SEC(name) __attribute__((section(name), used))
static int (*get_retval)(void) = (void *)186;
static long (*getsockopt)(void *c, int l, int n, void *v, int s) = (void *)57;
static long (*setsockopt)(void *c, int l, int n, void *v, int s) = (void *)49;
SEC("cgroup/dev") int retval_dev(void *c) { return get_retval() == 0; }
SEC("cgroup/recvmsg4") int retval_recvmsg(void *c) { return get_retval() == 0; }
SEC("cgroup/setsockopt") int option_in_set(void *c) { int v = 0; getsockopt(c, 1, 2, &v, 4); return 1; }
SEC("cgroup/getsockopt") int option_in_get(void *c) { int v = 0; getsockopt(c, 1, 2, &v, 4); return 1; }
SEC("cgroup/bind4") int option_in_bind(void *c) { int v = 0; setsockopt(c, 1, 2, &v, 4); return 1; }
SEC("sk_reuseport") int reuseport(void *c) { return 1; }
SEC("kprobe.multi/") int nothing_named(void *c) { return 0; }
__attribute__((noinline)) int pointed(int *p) { return p ? *p : 0; }
SEC("socket") int with_pointer(void *c) { int v = 1; return pointed(&v); }
SEC("iter/bpf_map_elem") int of_one_map(void *c) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""
SLOTS = """
#define SEC(name) __attribute__((section(name), used))
SEC("tc") int target(void *c) { return 0; }
SEC("tc") int other(void *c) { return 1; }
struct { int (*type)[3]; int (*max_entries)[1]; int *key; int (*values[])(void *); } table SEC(".maps") = {
    .values = { [0] = (void *)&target } };
char LICENSE[] SEC("license") = "GPL";
"""
ANSWERS = {
    "6.12.107": {
        "retval_dev": "yes",
        "retval_recvmsg": "load EINVAL",
        "option_in_set": "yes",
        "option_in_get": "load EINVAL",
        "option_in_bind": "yes",
        "reuseport": "yes",
        "with_pointer": "yes",
        "nothing_named": "attach EINVAL",
        "of_one_map": "attach EBADF",
    },
    "5.10.223": {"option_in_bind": "load EINVAL", "reuseport": "yes", "with_pointer": "load EINVAL"},
}

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")


def compiled(folder: Path, source: str, flags: tuple[str, ...] = ("-g",)) -> str:
    path = folder / "x.bpf.o"
    command = ["clang", "-target", "bpf", "-O2", *flags, "-x", "c", "-", "-c", "-o", str(path)]
    if subprocess.run(command, input=source, text=True, capture_output=True).returncode:
        pytest.skip("this clang does not compile for BPF")
    return str(path)


def said(program) -> str:
    return program.answer if program.answer == "yes" else f"{program.stage} {program.errno}"


@pytest.mark.parametrize("kernel", ANSWERS)
def test_helpers_and_attach_types(tmp_path, kernel):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / f"debian-{kernel}-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, SOURCE)).objects
    answers = {program.name: said(program) for program in found.kernels[0].programs}
    assert {name: answers[name] for name in ANSWERS[kernel]} == ANSWERS[kernel]


def test_a_program_array_needs_the_programs_it_names(tmp_path):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, SLOTS)).objects
    answers = {program.name: said(program) for program in found.kernels[0].programs}
    assert answers == {"target": "yes", "other": "load EBADF"}
    assert found.kernels[0].object.answer == "yes"


LIMITS = """
#define SEC(name) __attribute__((section(name), used))
#define uint(name, val) int (*name)[val]
static void *(*lookup)(void *m, const void *k) = (void *)1;
static long (*setsockopt)(void *c, int l, int n, void *v, int s) = (void *)49;
typedef unsigned long long u64;
struct { uint(type, 4); uint(max_entries, 0); uint(key_size, 4); uint(value_size, 4); } events SEC(".maps");
struct { uint(type, 6); uint(max_entries, 1); uint(key_size, 4); uint(value_size, 8); } counts SEC(".maps");
#define READ(number) (void)*(volatile u64 *)&c[number]
SEC("fentry/vfs_read") int third(u64 *c) { READ(2); return 0; }
SEC("fentry/vfs_read") int fourth(u64 *c) { READ(3); return 0; }
SEC("fentry/vfs_read") int fifth(u64 *c) { READ(4); return 0; }
SEC("fexit/vfs_read") int result(u64 *c) { READ(4); return 0; }
SEC("fexit/vfs_read") int behind_result(u64 *c) { READ(5); return 0; }
SEC("fexit/tcp_close") int no_result(u64 *c) { READ(2); return 0; }
SEC("lsm/file_open") int hook(u64 *c) { return c[0] == 1 ? -1 : 0; }
SEC("sockops") int within(unsigned *c) { return c[53] == 1; }
SEC("sockops") int hwtstamp(u64 *c) { return c[27] == 1; }
SEC("xdp") int egress(unsigned *c) { return c[5] == 1 ? 1 : 2; }
SEC("xdp/devmap") int egress_of_map(unsigned *c) { return c[5] == 1 ? 1 : 2; }
SEC("lsm.s/file_open") int sleeps_array(void *c) { int k = 0; return lookup(&counts, &k) ? 0 : -1; }
SEC("lsm.s/file_open") int sleeps_events(void *c) { int k = 0; return lookup(&events, &k) ? 0 : -1; }
SEC("uprobe.s//bin/true:x") int sleeps_user(void *c) { return 0; }
static __attribute__((noinline)) int deepest(int x) { volatile u64 a[26] = {}; a[x & 7] = x; return a[(x + 1) & 7]; }
static __attribute__((noinline)) int deeper(int x) { volatile u64 a[26] = {}; a[x & 7] = x; return a[1] + deepest(x); }
SEC("tc") int two_frames(void *c) { return deeper(1); }
SEC("tc") int three_frames(void *c) { volatile u64 a[26] = {}; a[1] = 1; return a[2] + deeper(3); }
SEC("kprobe/vfs_read") int three_in_kprobe(void *c) { volatile u64 a[26] = {}; a[1] = 1; return a[2] + deeper(3); }
char LICENSE[] SEC("license") = "GPL";
"""
LIMITED = {
    "6.12.107": {
        "third": "yes",
        "fourth": "yes",
        "fifth": "load EACCES",
        "result": "yes",
        "behind_result": "load EACCES",
        "no_result": "load EACCES",
        "hook": "yes",
        "within": "yes",
        "hwtstamp": "yes",
        "egress": "load EACCES",
        "egress_of_map": "yes",
        "sleeps_array": "yes",
        "sleeps_events": "load EINVAL",
        "sleeps_user": "yes",
        "two_frames": "yes",
        "three_frames": "load EACCES",
    },
    "5.10.223": {
        "third": "yes",
        "fourth": "load EACCES",
        "fifth": "load EACCES",
        "hwtstamp": "load EACCES",
        "sleeps_array": "load EINVAL",
        "sleeps_user": "load EINVAL",
        "two_frames": "yes",
        "three_in_kprobe": "load EACCES",
    },
}


@pytest.mark.parametrize("kernel", LIMITED)
def test_what_a_type_of_program_may_reach(tmp_path, kernel):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / f"debian-{kernel}-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, LIMITS)).objects
    answers = {program.name: said(program) for program in found.kernels[0].programs}
    assert {name: answers[name] for name in LIMITED[kernel]} == LIMITED[kernel]


CALLS = """
#define SEC(name) __attribute__((section(name), used))
static long (*setsockopt)(void *c, int l, int n, void *v, int s) = (void *)49;
static long (*bind)(void *c, void *a, int s) = (void *)64;
static void *(*storage)(void *m, void *sk, void *v, unsigned long long f) = (void *)107;
static long (*d_path)(void *p, char *b, unsigned s) = (void *)147;
struct { int (*type)[24]; int (*map_flags)[1]; int *key; int *value; } kept SEC(".maps");
SEC("cgroup/bind4") int bind_in_bind(void *c) { char a[16] = {2}; bind(c, a, 16); return 1; }
SEC("cgroup/connect4") int bind_in_connect(void *c) { char a[16] = {2}; bind(c, a, 16); return 1; }
SEC("cgroup/connect6") int option_in_connect(void *c) { int v = 0; setsockopt(c, 1, 2, &v, 4); return 1; }
SEC("cgroup/getpeername4") int option_in_name(void *c) { int v = 0; setsockopt(c, 1, 2, &v, 4); return 1; }
SEC("cgroup/getpeername_unix") int option_in_unix(void *c) { int v = 0; setsockopt(c, 1, 2, &v, 4); return 1; }
SEC("cgroup/connect_unix") int option_in_unix_connect(void *c) { int v = 0; setsockopt(c, 1, 2, &v, 4); return 1; }
SEC("syscall") int storage_in_syscall(void *c) { return storage(&kept, c, 0, 1) != 0; }
SEC("syscall") int path_in_syscall(void *c) { char b[8]; return d_path(c, b, 8); }
char LICENSE[] SEC("license") = "GPL";
"""
BOUND = """
#define SEC(name) __attribute__((section(name), used))
struct xdp_md { unsigned data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, unsigned long long *timestamp)
    __attribute__((section(".ksyms"), weak));
SEC("xdp") int bound_call(struct xdp_md *c) {
    unsigned long long t = 0; bpf_xdp_metadata_rx_timestamp(c, &t); return 2; }
SEC("xdp") int bound_dead(struct xdp_md *c) {
    unsigned long long t = 0;
    if (!bpf_xdp_metadata_rx_timestamp) { bpf_xdp_metadata_rx_timestamp(c, &t); }
    return 2; }
SEC("tc") int bound_tc(struct xdp_md *c) {
    unsigned long long t = 0; bpf_xdp_metadata_rx_timestamp(c, &t); return 0; }
SEC("xdp") int not_bound(struct xdp_md *c) { return 2; }
char LICENSE[] SEC("license") = "GPL";
"""
CALLED = {
    "6.12.107": {
        "bind_in_bind": "load EINVAL",
        "bind_in_connect": "yes",
        "option_in_connect": "yes",
        "option_in_name": "yes",
        "option_in_unix": "load None",  # a yes on 6.12 and a no on 7.3, which only code tells apart
        "option_in_unix_connect": "yes",
        "storage_in_syscall": "load EINVAL",
        "path_in_syscall": "load EINVAL",
    },
    "5.10.223": {"bind_in_bind": "load EINVAL", "bind_in_connect": "yes", "option_in_name": "load EINVAL"},
}


@pytest.mark.parametrize("kernel", CALLED)
def test_helpers_that_hang_on_more_than_the_type(tmp_path, kernel):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / f"debian-{kernel}-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, CALLS)).objects
    answers = {program.name: said(program) for program in found.kernels[0].programs}
    assert {name: answers[name] for name in CALLED[kernel]} == CALLED[kernel]


def test_kfuncs_of_a_device_count_where_they_are_never_reached(tmp_path):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, BOUND)).objects
    answers = {
        program.name: (said(program), [one.rule for one in program.findings]) for program in found.kernels[0].programs
    }
    bound = ("load EINVAL", ["object_load.kfunc_device_bound"])
    assert answers == {"bound_call": bound, "bound_dead": bound, "bound_tc": bound, "not_bound": ("yes", [])}


GLOBAL = """
#define SEC(name) __attribute__((section(name), used))
typedef unsigned long long u64;
struct __sk_buff { unsigned len; };
__attribute__((noinline)) int deepest(int x) { volatile u64 a[26] = {}; a[x & 7] = x; return a[(x + 1) & 7]; }
__attribute__((noinline)) int deeper(int x) { volatile u64 a[26] = {}; a[x & 7] = x; return a[1] + deepest(x); }
SEC("tc") int two_global(struct __sk_buff *c) { return deeper(1); }
SEC("tc") int three_global(struct __sk_buff *c) { volatile u64 a[26] = {}; a[1] = 1; return a[2] + deeper(3); }
__attribute__((noinline)) long wide(u64 a, char b) { return a + b; }
SEC("tc") int scalars(struct __sk_buff *c) { return wide(c->len, 1); }
enum kind { ONE = 1 };
__attribute__((noinline)) int by_enum(enum kind k) { return k + 1; }
SEC("tc") int enums(struct __sk_buff *c) { return by_enum(c->len); }
__attribute__((noinline)) int by_ctx(struct __sk_buff *c) { return c->len; }
SEC("tc") int ctx(struct __sk_buff *c) { return by_ctx(c); }
__attribute__((noinline)) int *gives(int x) { return (int *)(long)x; }
SEC("tc") int pointer_result(struct __sk_buff *c) { return gives(c->len) != 0; }
__attribute__((noinline)) void nothing(int x) { asm volatile("" :: "r"(x)); }
SEC("tc") int void_result(struct __sk_buff *c) { nothing(c->len); return 0; }
__attribute__((noinline)) int by_untyped(void *p) { return p != 0; }
SEC("tc") int untyped(struct __sk_buff *c) { return by_untyped(c); }
__attribute__((noinline)) int by_twice(int **p) { return p != 0; }
SEC("tc") int twice(struct __sk_buff *c) { int v = 0; int *q = &v; return by_twice(&q); }
char LICENSE[] SEC("license") = "GPL";
"""
GLOBALS = {
    "two_global": "yes",
    "three_global": "load EACCES",
    "scalars": "yes",
    "enums": "yes",
    "ctx": "yes",
    "pointer_result": "load EINVAL",
    "void_result": "load EINVAL",
    "untyped": "load EINVAL",
    "twice": "load EINVAL",
}


def test_frames_and_arguments_of_global_functions(tmp_path):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / "debian-5.10.223-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, GLOBAL)).objects
    assert {program.name: said(program) for program in found.kernels[0].programs} == GLOBALS
