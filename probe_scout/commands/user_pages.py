"""Pages of what a report on a user probe can show: limits, dangers, a name that is not there."""

from __future__ import annotations

_PROBES = "uprobe uretprobe uprobe.multi uretprobe.multi uprobe.session"
_RETURNS = "uretprobe uretprobe.multi uprobe.session"
_UPROBES = "kernel/events/uprobes.c"
_X86 = "arch/x86/kernel/uprobes.c"

# Id; its sentence and page; who decides it, in which file; what is read; the attach types.
TABLE: tuple[tuple[str, str, str, str, str, str], ...] = (
    (
        "user_symbol.not_found",
        """No function of this name is in the file, so no loader can turn it into an offset.

        The kernel takes offsets and never sees a name. Names are looked for in .dynsym, .symtab, MiniDebugInfo
        (.gnu_debugdata), the debug file by build id and .gnu_debuglink, Go's .gopclntab, and among demangled names.""",
        "elf_find_func_offset",
        "tools/lib/bpf/elf.c",
        "the file's tables of symbols",
        f"{_PROBES} usdt",
    ),
    (
        "user_symbol.vdso",
        """The vDSO is memory of the kernel without a file, and a uprobe belongs to a file: none can be put there.

        Programs reach it through libc: clock_gettime and gettimeofday there are functions of a file and take probes, as
        long as the program calls libc's and is not a Go program, which enters the vDSO itself.""",
        "__create_xol_area, uprobe_register: by inode",
        _UPROBES,
        "the name",
        _PROBES,
    ),
    (
        "limit.uprobe_not_code",
        """The offset lies in no segment that is executed, or the file is no program.

        The kernel takes any offset of any regular file; a breakpoint is planted only in private mappings that may be
        executed and may not be written.""",
        "valid_vma",
        _UPROBES,
        "the file's program headers",
        _PROBES,
    ),
    (
        "limit.uprobe_refused",
        """The kernel refuses this instruction, but looks at it only when a process maps the file.

        With the file mapped the attach fails (ENOTSUPP, ENOEXEC). Without, it succeeds; a later mmap ignores the
        failure, and the probe never fires. The next instruction start of the function often takes a probe.""",
        "install_breakpoint, prepare_uprobe, arch_uprobe_analyze_insn",
        _X86,
        "the instruction, 16 bytes of the file",
        f"{_PROBES} usdt",
    ),
    (
        "limit.uprobe_vex",
        """The kernel takes an AVX instruction for a legacy one, and does that instead. Do not probe it.

        branch_setup_xol_ops looks at the opcode byte alone. Behind a VEX or EVEX prefix 70 to 7f are read as jumps, e8
        as a call, e9 and eb as jumps, c2 c3 ca cb as returns: the instruction is skipped, hits are counted, and the
        program goes on with wrong results. Asked on five kernels, 5.10 to 7.3. docs/uprobes.md has a reproducer.""",
        "branch_setup_xol_ops, arch_uprobe_analyze_insn",
        _X86,
        "the instruction, 16 bytes of the file",
        _PROBES,
    ),
    (
        "limit.uprobe_literal",
        """arm64: a load of a vector register from beside the code is executed elsewhere. Do not probe it.

        Such loads have their source at a distance from the instruction. aarch64_insn_uses_literal knows ldr and ldrsw
        of general registers, not `ldr q0, label`; that one is stepped out of line, in a page of the kernel's, and
        loads what lies there. Read in the source of 7.3 (masks of ldr_lit and ldrsw_lit), not measured.""",
        "arm_probe_decode_insn, aarch64_insn_uses_literal",
        "arch/arm64/kernel/probes/decode-insn.c, arch/arm64/include/asm/insn.h",
        "the instruction, 4 bytes of the file",
        _PROBES,
    ),
    (
        "limit.uprobe_inside",
        """The offset is inside an instruction: the breakpoint overwrites a part of it.

        The kernel cannot tell. Inside an immediate the program computes something else without an error, elsewhere it
        ends with SIGSEGV; the probe itself does not fire.""",
        "install_breakpoint",
        _UPROBES,
        "the function's machine code, decoded from its first byte",
        _PROBES,
    ),
    (
        "limit.uprobe_offset",
        """The probe stands inside the function: it fires where that instruction is executed, not for every call.""",
        "handle_swbp",
        _UPROBES,
        "the function's machine code",
        _PROBES,
    ),
    (
        "limit.uprobe_repeats",
        """The probe fires more often than the function is called.

        A repeated string instruction (rep movs) traps for each turn; so does an address that a jump inside the function
        leads to. Go enters a function again after its stack was grown.""",
        "handle_swbp, default_post_xol_op",
        _X86,
        "the function's machine code",
        _PROBES,
    ),
    (
        "limit.uprobe_ifunc",
        """The symbol is an IFUNC: its address is the resolver's, which the loader calls once.

        Calls go to the implementation that the resolver picked. libbpf, bcc and perf leave IFUNCs out, so a name that
        is an IFUNC alone is "not found" there.""",
        "elf_find_func_offset: STT_FUNC",
        "tools/lib/bpf/elf.c",
        "the file's tables of symbols",
        _PROBES,
    ),
    (
        "limit.uprobe_old_version",
        """The version that loaders take for this name is kept for old programs; those linked today call another.

        memcpy of glibc: memcpy@GLIBC_2.2.5 is a function, memcpy@@GLIBC_2.14 an IFUNC. Loaders skip the IFUNC and probe
        the old one, which no program built since 2011 calls.""",
        "elf_find_func_offset",
        "tools/lib/bpf/elf.c",
        ".gnu.version and .gnu.version_d of the file",
        _PROBES,
    ),
    (
        "limit.uprobe_versions",
        """Other versions of this symbol are other code: their calls are not seen.""",
        "symbol_match",
        "tools/lib/bpf/elf.c",
        ".gnu.version and .gnu.version_d of the file",
        _PROBES,
    ),
    (
        "limit.uprobe_copies",
        """Several functions of the file carry this name; a probe sees the calls of one.

        libbpf refuses such a name unless all but one are weak. Give the offset of the function.""",
        "elf_find_func_offset",
        "tools/lib/bpf/elf.c",
        "the file's tables of symbols",
        _PROBES,
    ),
    (
        "limit.uprobe_cold",
        """The symbol is the cold part of a function: it is jumped to and never called.""",
        "gcc -freorder-blocks-and-partition",
        "gcc/bb-reorder.cc",
        ".symtab of the file",
        _PROBES,
    ),
    (
        "limit.uprobe_clones",
        """The compiler made other symbols from this function (.part, .isra, .constprop): calls may go to them.""",
        "clone_function_name",
        "gcc/cgraphclones.cc",
        ".symtab of the file",
        _PROBES,
    ),
    (
        "limit.uprobe_other_machine",
        """The file is for another machine than the kernel: nothing executes it here.""",
        "load_elf_binary: elf_check_arch",
        "fs/binfmt_elf.c",
        "the ELF header",
        _PROBES,
    ),
    (
        "limit.uprobe_old_file",
        """Processes still run the replaced file: a probe on the new file does not see them.

        Probes belong to inodes. After an upgrade running programs keep the old library until they are started again;
        /proc/PID/map_files or /proc/PID/root names theirs.""",
        "uprobe_mmap, vma_has_uprobes",
        _UPROBES,
        "proc/PID/maps",
        _PROBES,
    ),
    (
        "limit.uprobe_interposed",
        """The process (or every process) calls this function of another file, which comes earlier in the search order.

        The loader takes the first definition: the program's, then those of LD_PRELOAD and /etc/ld.so.preload, then of
        the libraries in the order in which they are needed. Calls that the library makes of its own function may still
        come here. Libraries loaded by dlopen are not checked.""",
        "do_lookup_x",
        "glibc: elf/dl-lookup.c",
        "proc/PID/maps, environ, the files they name",
        _PROBES,
    ),
    (
        "limit.uprobe_process_other_file",
        """The process that the probe is for (--pid) runs another file of this path: the probe never fires in it.

        It was started before the file was replaced, or lives in a mount namespace of its own. pid:PID:PATH and
        pid:PID:LIBRARY name the file that it runs.""",
        "uprobe_perf_filter, uprobe_multi_link_filter",
        _UPROBES,
        "proc/PID/maps, proc/PID/root",
        _PROBES,
    ),
    (
        "limit.uprobe_process_threads",
        """A link for one process (--pid) may see the calls of its first thread alone.

        Until Linux kernel commit 46ba0e49b642 ("bpf: fix multi-uprobe PID filtering logic") the program ran for that
        thread only. The change was backported and cannot be seen from outside; kernels with uprobe.session have it. A
        uprobe by perf sees every thread.""",
        "uprobe_prog_run",
        _UPROBES,
        "proc/PID/task",
        "uprobe.multi uretprobe.multi",
    ),
    (
        "limit.uretprobe_seccomp",
        """A process with the file runs under seccomp, and the kernel's return probes may be stopped by its filter.

        On x86-64 a function comes back to a return probe by the system call uretprobe, since Linux kernel commit
        ff474a78cef5 ("uprobe: Add uretprobe syscall to speed up return probe"). Filters that list what is allowed do
        not know it, and the function then ends with SIGSEGV. Since Linux kernel commit cf6cb56ef244 ("seccomp:
        passthrough uretprobe systemcall without filtering") filters are not asked. That change left no symbol and was
        backported; the later system call uprobe shows it. Entry probes and 32-bit programs are not concerned.""",
        "arch_uretprobe_trampoline; __seccomp_filter",
        "arch/x86/kernel/uprobes.c, kernel/seccomp.c",
        "__x64_sys_uretprobe and __x64_sys_uprobe in kallsyms, proc/PID/status",
        _RETURNS,
    ),
    (
        "limit.uprobe_process_unmapped",
        """The process that the probe is for (--pid) does not map the file, or its maps may not be read.

        The attach succeeds. Should the process load the file later (dlopen), the breakpoint is planted then.""",
        "uprobe_perf_filter, uprobe_mmap",
        _UPROBES,
        "proc/PID/maps",
        _PROBES,
    ),
    (
        "limit.uprobe_other_namespace",
        """Processes run another file of the same path, in a mount namespace of their own (a container).

        Probes belong to inodes: name the other file by pid:PID:PATH.""",
        "uprobe_mmap, vma_has_uprobes",
        _UPROBES,
        "proc/PID/maps, proc/PID/root",
        _PROBES,
    ),
    (
        "limit.uretprobe_tail_call",
        """The function ends in a jump to another function: its return is seen when that function
        returns, with its value.""",
        "prepare_uretprobe",
        _UPROBES,
        "the function's machine code",
        _RETURNS,
    ),
    (
        "limit.uretprobe_nesting",
        """Of returns that are nested deeper than 64 the rest is not seen.

        The kernel log says "omit uretprobe due to nestedness limit".""",
        "prepare_uretprobe: MAX_URETPROBE_DEPTH",
        _UPROBES,
        "the function's machine code: it calls itself",
        _RETURNS,
    ),
    (
        "limit.uretprobe_no_return",
        """The function never returns: a return probe attaches and never fires; of a session the entry alone fires.

        Its machine code, decoded from the first byte to the last, has no return, no jump out of the function, and no
        jump whose goal is not in the instruction. _start is such a function.""",
        "prepare_uretprobe",
        _UPROBES,
        "the function's machine code",
        _RETURNS,
    ),
    (
        "limit.uretprobe_jumped_out",
        """The function calls longjmp, setcontext or pthread_exit: calls that are left that way have no return to see.

        The kernel gives such returns up when the next one on the same stack is seen. The program is not harmed: asked
        on five kernels, of ten calls left by longjmp one return was seen.""",
        "uretprobe_is_alive: cleanup_return_instances",
        _UPROBES,
        "the function's machine code, and the relocations that name what it calls",
        _RETURNS,
    ),
    (
        "limit.uretprobe_fork",
        """The function calls fork: it returns in the parent and in the child, and both returns are counted.""",
        "dup_utask",
        _UPROBES,
        "the function's machine code, and the relocations that name what it calls",
        _RETURNS,
    ),
    (
        "limit.usdt_semaphore",
        """The probe has a semaphore: sites behind a test of it are skipped while it is zero.

        The kernel counts it up when the probe is attached with ref_ctr_offset, in every process that maps the file.
        libbpf does so; a plain uprobe on the site does not.""",
        "update_ref_ctr",
        _UPROBES,
        ".note.stapsdt of the file",
        "usdt",
    ),
    (
        "limit.usdt_sites",
        """The probe has several sites: all of them have to be attached, with one and the same ref_ctr_offset.""",
        "collect_usdt_targets",
        "tools/lib/bpf/usdt.c",
        ".note.stapsdt of the file",
        "usdt",
    ),
    (
        "hazard.uprobe_vex",
        """The kernel does something else than the AVX instruction: the program goes on with wrong results.

        See limit.uprobe_vex.""",
        "branch_setup_xol_ops",
        _X86,
        "the instruction, 16 bytes of the file",
        _PROBES,
    ),
    (
        "hazard.uprobe_literal",
        """arm64: a vector register is loaded from another page than the program's. See limit.uprobe_literal.""",
        "arm_probe_decode_insn",
        "arch/arm64/kernel/probes/decode-insn.c",
        "the instruction, 4 bytes of the file",
        _PROBES,
    ),
    (
        "hazard.uprobe_inside",
        """A probe inside an instruction breaks the program. See limit.uprobe_inside.""",
        "install_breakpoint",
        _UPROBES,
        "the function's machine code",
        _PROBES,
    ),
    (
        "hazard.uprobe_syscall",
        """A probe on syscall or sysenter fires once, then the program ends with SIGSEGV.

        The kernel means to refuse them (good_2byte_insns) and never comes to that table. Asked on five kernels.""",
        "uprobe_init_insn",
        _X86,
        "the instruction, 16 bytes of the file",
        _PROBES,
    ),
    (
        "hazard.uretprobe_go",
        """A return probe writes another return address on the stack, which Go's runtime does not know.

        When a stack is copied or a panic unwinds, the program ends with "fatal: unexpected return pc". Entry probes on
        the function's RET instructions see the same returns and are safe.""",
        "arch_uretprobe_hijack_return_addr",
        _X86,
        ".gopclntab, .note.go.buildid",
        _RETURNS,
    ),
    (
        "hazard.uretprobe_shadow_stack",
        """The file is built for shadow stacks, and this kernel's return probes leave the shadow stack as it is.

        A return probe replaces the return address. Kernels with user shadow stacks and without shstk_update_last_frame
        replace it on the ordinary stack alone, so that RET faults in a process that runs with a shadow stack
        (GLIBC_TUNABLES=glibc.cpu.x86_shstk=on). Read in the kernel's source; not tried on hardware.""",
        "arch_uretprobe_hijack_return_addr, shstk_update_last_frame",
        _X86,
        ".note.gnu.property of the file, kallsyms",
        _RETURNS,
    ),
    (
        "hazard.uretprobe_start",
        """Nothing returns from _start: the word on top of the stack is argc, and a return probe overwrites it.""",
        "arch_uretprobe_hijack_return_addr",
        _X86,
        "the symbol's name",
        _RETURNS,
    ),
    (
        "hazard.uretprobe_offset",
        """A return probe replaces the word on top of the stack: a return address only at a function's entry.""",
        "arch_uretprobe_hijack_return_addr",
        _X86,
        "the offset in the function",
        _RETURNS,
    ),
    (
        "hazard.uretprobe_backtrace",
        """The function looks at its own stack, where a return probe has replaced the return address.

        backtrace(3) in a probed function saw two frames where there are six. Profilers that walk the stack stop
        at the same frame while the function runs.""",
        "arch_uretprobe_hijack_return_addr",
        _X86,
        "the function's machine code, and the relocations that name what it calls",
        _RETURNS,
    ),
    (
        "hazard.uretprobe_exception",
        """A C++ exception cannot be unwound through the replaced return address: the program is aborted.

        Asked on five kernels: SIGABRT each time. Functions that are left by exceptions take entry probes only.""",
        "arch_uretprobe_hijack_return_addr",
        _X86,
        "the libraries and imports of the file",
        _RETURNS,
    ),
)
