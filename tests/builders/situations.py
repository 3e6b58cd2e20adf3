"""A program with one function for each situation that was asked of kernels: what its probes see, and what they break.

Written for the test; the recorded answers are of another program with functions of the same kinds and names.
"""

from __future__ import annotations


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
    + "int main(void) { return plain(0) + rec(0) + use1(0) + inl_out(0) + ifn(0) + bt() + vforkee(0); }\n"
)
