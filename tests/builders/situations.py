"""A program with one function for each situation that was asked of kernels: what its probes see, and what they break.

Written for the test; the recorded answers are of another program with functions of the same kinds and names.
"""

from __future__ import annotations

# The program calls one function as often as the recorded one did: ten times, but for the few below.
_DRIVER = r"""#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
static void *ends(void *unused) { exiter(1); return unused; }
#define RUN(name, times, call) if (!strcmp(argv[1], #name)) for (int i = 0; i < times; i++) { call; }
#define NAKED(name) RUN(name, 10, name())
int main(int argc, char **argv) {
  if (argc < 2) return plain(0) + rec(0) + use1(0) + inl_out(0) + ifn(0) + bt() + vforkee(0);
  if (!strcmp(argv[1], "wait")) { puts("ready"); fflush(stdout); pause(); }
  RUN(plain, 10, plain(i)) RUN(rec, 1, rec(99)) RUN(vforkee, 5, vforkee(i)) RUN(impl_a, 10, ifn(i)) RUN(ifn, 10, ifn(i))
  RUN(use1, 10, use1(i)) RUN(inl_out, 10, inl_out(i)) RUN(bt, 10, bt()) RUN(callee, 10, callee())
  RUN(neverret, 1, neverret(3))
  RUN(jumper, 10, if (!setjmp(env)) jumper(1)) RUN(outer, 10, if (!setjmp(env)) outer(1))
  RUN(exiter, 10, pthread_t one; pthread_create(&one, 0, ends, 0); pthread_join(one, 0))
  RUN(forker, 5, int pid = forker(); if (!pid) _exit(0); waitpid(pid, 0, 0))
  NAKED(tailer) NAKED(a_lock) NAKED(a_repmovs) NAKED(a_syscall) NAKED(a_nop5) NAKED(a_nop10) NAKED(a_csnop)
  NAKED(a_notrack)
  NAKED(a_endbr) NAKED(a_mid) NAKED(a_ret) NAKED(a_call) NAKED(a_riprel) NAKED(a_loop) NAKED(a_loopinsn) NAKED(a_evex)
  NAKED(a_tail) NAKED(a_fallthrough) NAKED(a_pushret) NAKED(a_int3) NAKED(a_ud2)
  return 0; }
"""


def _naked(name: str, code: str, inner: str = "") -> str:
    """A function of assembly; `inner` is a label in it that is a function symbol of its own."""
    label = f".globl {inner}\\n.type {inner},@function\\n{inner}:\\n" if inner else ""
    text = code.replace("@", label)
    return f'__attribute__((naked, noinline)) void {name}(void) {{ __asm__("{text}"); }}\n'


SOURCE = (
    r"""
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <unistd.h>
static jmp_buf env; volatile int sink; char area[256], other[256]; int counter;
#define NOINLINE __attribute__((noinline, noclone))
NOINLINE int plain(int x) { return x + sink; }
NOINLINE int rec(int n) { return n ? 1 + rec(n - 1) : sink; }
NOINLINE void jumper(int n) { if (n) longjmp(env, 1); sink++; }
NOINLINE void outer(int n) { jumper(n); sink++; }
NOINLINE void exiter(int n) { if (n) pthread_exit(0); sink++; }
NOINLINE int bt(void) { void *at[16]; return backtrace(at, 16) + sink; }
NOINLINE int forker(void) { int pid = fork(); sink += pid == 0; return pid; }
NOINLINE int vforkee(int x) { return x + sink; }
NOINLINE int impl_a(int x) { return x + sink; }
static void *choose(void) { return (void *)impl_a; }
int ifn(int) __attribute__((ifunc("choose")));
NOINLINE int use1(int x) { return plain(x) + plain(x + 1); }
NOINLINE int inl_out(int x) { return x * 3 + sink; }
NOINLINE void neverret(int n) { sink = n; _exit(n); }
"""
    + _naked("callee", "mov $37,%eax\\n ret")
    + _naked("tailer", "nop\\n jmp callee")
    + _naked("a_lock", "lock incl counter(%rip)\\n ret")
    + _naked(
        "a_repmovs",
        "lea other(%rip),%rdi\\n lea area(%rip),%rsi\\n mov $100,%ecx\\n @ rep movsb\\n ret",
        "a_repmovs_in",
    )
    + _naked("a_syscall", "mov $39,%eax\\n @ syscall\\n ret", "a_syscall_in")
    + _naked("a_nop5", ".byte 0x0f,0x1f,0x44,0,0\\n ret")
    + _naked("a_nop10", ".byte 0x66,0x2e,0x0f,0x1f,0x84,0,0,0,0,0\\n ret")
    + _naked("a_csnop", ".byte 0x2e,0x0f,0x1f,0x40,0\\n ret")
    + _naked("a_notrack", "lea 1f(%rip),%rax\\n @ notrack jmp *%rax\\n1: ret", "a_notrack_in")
    + _naked("a_endbr", "endbr64\\n ret")
    + _naked("a_mid", "mov $40,%eax\\n ret")
    + _naked("a_ret", "ret")
    + _naked("a_call", "mov $3,%eax\\n @ call callee\\n ret", "a_call_in")
    + _naked("a_riprel", "mov counter(%rip),%eax\\n ret")
    + _naked("a_loop", "mov $20,%ecx\\n @ dec %ecx\\n jnz a_loop_in\\n ret", "a_loop_in")
    + _naked("a_loopinsn", "mov $20,%ecx\\n @ loop a_loopinsn_in\\n ret", "a_loopinsn_in")
    + _naked("a_evex", ".byte 0x62,0xf1,0xfd,0x48,0x6f,0xc0\\n ret")
    + _naked("a_tail", "mov $1,%eax\\n jmp callee")
    + _naked("a_fallthrough", "mov $20,%eax\\n @ nop\\n ret", "a_fellinto")
    + _naked("a_pushret", "push %rbx\\n @ mov $7,%eax\\n pop %rbx\\n ret", "a_pushret_in")
    + _naked("a_int3", "mov $10,%eax\\n ret\\n @ int3\\n ret", "a_int3_in")
    + _naked("a_ud2", "mov $10,%eax\\n ret\\n @ ud2\\n ret", "a_ud2_in")
    + _DRIVER
)
