"""Facts: what can be read of a kernel, and what could not be.

A fact's name is a promise (it appears in JSON as `unread[].fact`). The four kinds of absence are
told apart: denied, malformed, not_there (the kernel has no such file) and not_recorded (the
snapshot does not hold it).
"""

from __future__ import annotations

from ..errors import Unread as Unread

KALLSYMS = "kallsyms"  # proc/kallsyms
ADDRESSES = "addresses"  # the addresses in proc/kallsyms (hidden by kernel.kptr_restrict)
BTF = "btf"  # sys/kernel/btf/vmlinux
MODULE_BTF = "module_btf"  # sys/kernel/btf/<module>
FILTER_FUNCTIONS = "filter_functions"  # sys/kernel/tracing/available_filter_functions[_addrs]
KPROBE_BLACKLIST = "kprobe_blacklist"  # sys/kernel/debug/kprobes/blacklist
ERROR_INJECTION = "error_injection"  # sys/kernel/debug/error_injection/list
CONFIG = "config"  # proc/config.gz, boot/config-*, usr/lib/modules/*/config
EVENTS = "events"  # sys/kernel/tracing/events, available_events
CODE = "code"  # machine code: proc/kcore, vmlinuz, vmlinux, or a snapshot's code slices
ENTRY_CODE = "entry_code"  # the running kernel's first bytes of a function (proc/kcore)
LOCKDOWN = "lockdown"  # sys/kernel/security/lockdown
BTF_IDS = "btf_ids"  # the kernel's BTF id sets, seen as __BTF_ID__ symbols in kallsyms
CAPABILITIES = "capabilities"  # proc/self/status (only with --as-me)
SYSCTL = "sysctl"  # proc/sys/kernel/*
MODULES = "modules"  # proc/modules
DEBUG = "debug"  # debug information (DWARF) of this build: a debug package, a build tree, debuginfod
USER_FILE = "user_file"  # the program or library that is asked about
MAPPED = "mapped"  # whether a process maps that file now
DECODER = "decoder"  # which opcodes this kernel's instruction decoder knows
ARCHITECTURE = "architecture"  # the rules of the kernel's architecture
SYMBOL_CHOICE = "symbol_choice"  # which of several copies of a name ftrace lists
CALLS = "calls"  # which programs may call which helper or kfunc: code of the kernel's image
