"""Kinds of x86_64 instructions, told apart as far as kprobes and trampolines treat them differently.

The kernel's own distinctions: arch/x86/kernel/kprobes/core.c (is_exception_insn, prepare_emulation,
__copy_instruction) and arch/x86/net/bpf_jit_comp.c (__bpf_arch_text_poke).
"""

from __future__ import annotations

from ..named_tuple import NamedTuple

OTHER = "other"  # nothing special: kprobes copy or emulate it
ENDBR = "endbr64"  # f3 0f 1e fa: _kprobe_addr moves sym+0 to sym+4
NOP5 = "nop5"  # 0f 1f 44 00 00: an idle ftrace site, or a patched-out jump
CALL = "call"  # e8 rel32: a live ftrace site, or any call
JUMP = "jump"  # e9 rel32: alternatives, jump labels and static calls may have made it a nop5
PATCH2 = "patch2"  # eb rel8 or 66 90: what a two-byte jump label looks like
UD = "ud"  # ud0, ud1, ud2: BUG, WARN, traps
INT = "int"  # int3, int n, into, int1
FAR = "far"  # far call or jump
IRET = "iret"
VMX = "vmx"  # 0f 01, register form, /0: vmcall, vmlaunch …
INDIRECT = "indirect_memory"  # near call or jump through memory
MASKING = "masking"  # mov/pop %ss: holds back exceptions for one instruction
EMULATED = "emulated"  # the forced-emulation prefix of Xen or KVM
RETURN0 = "return0"  # xor %eax,%eax with prefixes, five bytes: a static call that boot made return 0
TRUNCATED = "truncated"  # the bytes end before the opcode is known

PATCHABLE = (NOP5, CALL, JUMP, PATCH2, RETURN0)  # the running kernel may hold another form of these bytes


class Instruction(NamedTuple):
    """`length_bytes` is None where only full decoding would tell."""

    kind: str
    length_bytes: int | None
