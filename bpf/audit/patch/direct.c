// Calls directly from vfs_mknod's entry, without BPF: what `audit` must find as ftrace.direct. For kernels before 6.4.
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/linkage.h>
#include <linux/module.h>

void direct_hook(void);
void direct_trampoline(void);

void direct_hook(void) { }

asm("	.pushsection .text, \"ax\", @progbits\n"
    "	.type direct_trampoline, @function\n"
    "	.globl direct_trampoline\n"
    "direct_trampoline:\n"
    "	endbr64\n"
    "	pushq %rbp\n"
    "	movq %rsp, %rbp\n"
    "	pushq %rdi\n	pushq %rsi\n	pushq %rdx\n	pushq %rcx\n	pushq %r8\n	pushq %r9\n"
    "	call direct_hook\n"
    "	popq %r9\n	popq %r8\n	popq %rcx\n	popq %rdx\n	popq %rsi\n	popq %rdi\n"
    "	leave\n"
    ASM_RET
    "	.size direct_trampoline, .-direct_trampoline\n"
    "	.popsection\n");

static int __init begin(void)
{
	return register_ftrace_direct((unsigned long)vfs_mknod, (unsigned long)direct_trampoline);
}

static void __exit end(void)
{
	unregister_ftrace_direct((unsigned long)vfs_mknod, (unsigned long)direct_trampoline);
}

module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
