"""Findings of `lint`: why a compiled object does not open, load or attach, each with its page."""

from __future__ import annotations

# Id; its page; who decides it; in which file; what is read.
TABLE: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "object_open.legacy_maps",
        ("Maps are defined as before libbpf 1.0, in sections that are not read any more. Define them in `.maps`."),
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.format",
        "The ELF file is damaged.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.static_program",
        "A program is a static function. Programs must be global.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.extern_without_btf",
        "An undefined symbol has no type information, so libbpf cannot tell what it is.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.extern_section",
        "An extern lies neither in .kconfig nor in .ksyms.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.kconfig_type",
        "A kconfig extern has a type other than bool, char, integer, char array or libbpf_tristate.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.map_definition",
        (
            "The definition of a map in `.maps` is wrong: a member that libbpf does not know, or of another kind "
            "than it must be."
        ),
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.maps_without_btf",
        "Maps need type information, and the object has none.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.struct_ops_without_btf",
        "struct_ops maps need type information, and the object has none.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.struct_ops_program",
        "A struct_ops map refers to a program whose section's name does not begin with struct_ops.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_open.relocation",
        "An instruction refers to something that libbpf cannot resolve.",
        "bpf_object__open",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_load.endian",
        "The object's byte order is not the machine's. Compile with -target bpfel or bpfeb, as the machine is.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_load.no_btf",
        (
            "The object needs the kernel's type information, and it cannot be read here. Read it as root, or "
            "record a snapshot."
        ),
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.extern",
        (
            "A strong extern is not there. No program of the object loads, also those that do not use it. Mark it "
            "__weak and test for it."
        ),
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "configuration, kallsyms",
    ),
    (
        "object_load.kconfig",
        ("The value of a configuration option does not fit the extern's type, or the configuration cannot be read."),
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "boot/config",
    ),
    (
        "object_load.ksym",
        "kallsyms cannot be read.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "proc/kallsyms",
    ),
    (
        "object_load.ksym_ambiguous",
        "kallsyms has the name at several addresses, and libbpf refuses to choose.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "proc/kallsyms",
    ),
    (
        "object_load.ksym_type",
        "The kernel's type information has no such variable. Only per-CPU variables and few others have one.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.kfunc",
        (
            "The type information of vmlinux and of the loaded modules has no function of this name. Mark the "
            "extern __weak and guard the call with bpf_ksym_exists."
        ),
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.extern_type",
        "The extern's type is not that of the kernel.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.core",
        (
            "A CO-RE relocation cannot be done: types of the same name disagree, or the instruction is not what "
            "it should be. The whole object fails."
        ),
        "bpf_object__load",
        "tools/lib/bpf/relo_core.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.core_poison",
        (
            "A field, type or value does not exist on this kernel, and the instruction that needs it is reached. "
            "Guard it with bpf_core_field_exists or its like; what is guarded is dead code and costs nothing."
        ),
        "bpf_object__load",
        "tools/lib/bpf/relo_core.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.core_resize",
        (
            "A field has another size here, and a direct load of a signed field cannot be resized. Read it with "
            "BPF_CORE_READ."
        ),
        "bpf_object__load",
        "tools/lib/bpf/relo_core.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.kfunc_absent",
        "A weak kfunc is not there, and its call is reached. Guard it with bpf_ksym_exists.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.kfunc_call",
        "This kernel takes no calls of kernel functions.",
        "bpf_object__load",
        "kernel/bpf/verifier.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.kfunc_not_allowed",
        "The function is no kfunc, or none of its sets is registered for programs of this type.",
        "bpf_object__load",
        "kernel/bpf/verifier.c",
        "proc/kallsyms",
    ),
    (
        "object_load.kfunc_device_bound",
        (
            "The program calls a kfunc for XDP programs that are bound to a device, and no section name says that. A "
            "call that is never reached counts too."
        ),
        "add_kfunc_call",
        "kernel/bpf/offload.c",
        "proc/kallsyms",
    ),
    (
        "object_load.kfunc_unknown",
        ("Which program types may call a kfunc is code of the kernel. A kernel image tells: name one with --root."),
        "bpf_object__load",
        "kernel/bpf/verifier.c",
        "proc/kallsyms",
    ),
    (
        "object_load.map_type",
        "The kernel does not know the type of a map.",
        "map_create",
        "kernel/bpf/syscall.c",
        "enum bpf_map_type",
    ),
    (
        "object_load.map",
        (
            "The kernel refuses to create a map: a size, a flag or an inner map is missing or wrong. No program "
            "of the object loads."
        ),
        "map_create",
        "kernel/bpf/syscall.c",
        "the object",
    ),
    (
        "object_load.sizes_set",
        "The object leaves sizes of maps to its loader. Its programs are judged as if they were set.",
        "map_create",
        "kernel/bpf/syscall.c",
        "the object",
    ),
    (
        "object_load.program_array",
        "A program array is initialised with a program that is not loaded.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_load.struct_ops",
        "The kernel has no struct_ops of this name, or it is not built in.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.struct_ops_member",
        "A member that the object sets is not in the kernel's struct, or is of another kind.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.struct_ops_unused",
        "No struct_ops map of the object refers to this program.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_load.section_name",
        (
            "libbpf does not know the section's name, so the program has no type. The table of names belongs to "
            "the loader's libbpf (--libbpf), not to the kernel."
        ),
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_load.no_target",
        "The section names no target, and the type needs one to load.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_load.freplace",
        "The program to replace is set by the loader.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_load.target",
        (
            "The target is not in the type information of vmlinux or of a loaded module. Loaders often set "
            "another target when they run."
        ),
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.program_type",
        "The kernel does not know the program type, or it is not built in.",
        "bpf_prog_load",
        "kernel/bpf/syscall.c",
        "enum bpf_prog_type, kallsyms",
    ),
    (
        "object_load.attach_type",
        "The kernel does not know the attach type.",
        "bpf_prog_load",
        "kernel/bpf/syscall.c",
        "enum bpf_attach_type",
    ),
    (
        "object_load.program_flags",
        "The kernel does not know a flag of the program.",
        "bpf_prog_load",
        "kernel/bpf/syscall.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.result",
        "The program returns a constant that its attach type may not return.",
        "check_return_code",
        "kernel/bpf/verifier.c, kernel/bpf/bpf_lsm.c",
        "the object",
    ),
    (
        "object_load.locked_map",
        "Programs of this type cannot use a map whose values hold a bpf_spin_lock.",
        "check_map_prog_compatibility",
        "kernel/bpf/verifier.c",
        "the object",
    ),
    (
        "object_load.map_helper",
        "A helper does not take the type of map that it is given.",
        "check_map_func_compatibility",
        "kernel/bpf/verifier.c",
        "the object",
    ),
    (
        "object_load.license",
        "lsm and struct_ops programs must have a license compatible with the GPL.",
        "bpf_check_attach_target",
        "kernel/bpf/verifier.c",
        "the object",
    ),
    (
        "object_load.helper",
        "The kernel does not know a helper that is reached.",
        "check_helper_call",
        "kernel/bpf/verifier.c",
        "enum bpf_func_id",
    ),
    (
        "object_load.helper_type",
        "Programs of this type cannot call the helper.",
        "check_helper_call",
        "kernel/bpf/verifier.c",
        "recorded kernels",
    ),
    (
        "object_load.helper_type_unknown",
        (
            "Recorded kernels differ in whether this type may call the helper, and no file of this kernel tells. "
            "A kernel image does."
        ),
        "check_helper_call",
        "kernel/bpf/verifier.c",
        "recorded kernels",
    ),
    (
        "object_load.helper_sleeps",
        "The helper may sleep, and the program is not sleepable.",
        "check_helper_call",
        "kernel/bpf/verifier.c",
        "the object",
    ),
    (
        "object_load.helper_gpl",
        "The helper is for programs with a license compatible with the GPL.",
        "check_helper_call",
        "kernel/bpf/verifier.c",
        "the object",
    ),
    (
        "object_load.atomic",
        "The kernel knows plain atomic additions alone.",
        "resolve_pseudo_ldimm64",
        "kernel/bpf/verifier.c",
        "proc/kallsyms",
    ),
    (
        "object_load.callback",
        "The kernel takes no addresses of functions as callbacks.",
        "check_btf_func",
        "kernel/bpf/verifier.c",
        "enum bpf_func_id",
    ),
    (
        "object_load.global_argument",
        "Global functions take numbers and the context, and return numbers, on this kernel. Make the function static.",
        "btf_prepare_func_args",
        "kernel/bpf/btf.c",
        "enum bpf_func_id",
    ),
    (
        "object_load.context",
        "The program reads behind the end of what this kernel hands to programs of its type.",
        "check_ctx_access",
        "net/core/filter.c",
        "struct bpf_ctx_convert",
    ),
    (
        "object_load.stack",
        "Functions that call each other need more than 512 bytes of stack together, or more than 8 call each other.",
        "check_max_stack_depth",
        "kernel/bpf/verifier.c",
        "the object",
    ),
    (
        "object_load.sleepable_map",
        "A sleepable program cannot use a map of this type.",
        "check_map_prog_compatibility",
        "kernel/bpf/verifier.c",
        "enum bpf_func_id",
    ),
    (
        "object_load.map_too_large",
        "The key or the value of a map is larger than this kernel takes. No program of the object loads.",
        "map_create",
        "kernel/bpf/syscall.c",
        "enum bpf_func_id",
    ),
    (
        "object_load.map_percpu_unknown",
        (
            "A hash table without preallocation has values for each CPU that are never allocated. Whether that is "
            "refused when the map is created or at the first update is code of the kernel, which its image shows."
        ),
        "map_create",
        "kernel/bpf/hashtab.c",
        "the object",
    ),
    (
        "object_load.argument",
        "The program reads an argument that the event or function does not have here.",
        "btf_ctx_access",
        "kernel/bpf/btf.c",
        "sys/kernel/btf",
    ),
    (
        "object_load.not_recorded",
        "A partial snapshot does not tell.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "the snapshot",
    ),
    (
        "object_load.not_judged",
        "The target is written in a way that cannot be asked.",
        "bpf_object__load",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_load.target_unknown",
        "The verdict on the target is unknown; `check` says why.",
        "bpf_program__attach",
        "tools/lib/bpf/libbpf.c",
        "the kernel",
    ),
    (
        "object_attach.section",
        "The section's name does not say what to attach to.",
        "bpf_program__attach",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_attach.argument",
        "The program reads an argument that the event does not have here.",
        "bpf_probe_register",
        "kernel/trace/bpf_trace.c",
        "sys/kernel/btf",
    ),
    (
        "object_attach.record",
        "The program reads behind the last field of the event's record.",
        "perf_event_set_bpf_prog",
        "kernel/events/core.c",
        "the event's format file",
    ),
    (
        "object_attach.type",
        "The kernel does not know the attach type. Programs of this type load all the same.",
        "link_create",
        "kernel/bpf/syscall.c",
        "enum bpf_attach_type",
    ),
    (
        "object_attach.pattern",
        "What a pattern matches cannot be read.",
        "bpf_program__attach",
        "tools/lib/bpf/libbpf.c",
        "available_filter_functions",
    ),
    (
        "object_attach.matches",
        "What a pattern matches on this kernel.",
        "bpf_program__attach",
        "tools/lib/bpf/libbpf.c",
        "available_filter_functions",
    ),
    (
        "object_attach.usdt_maps",
        "A usdt program needs the maps of bpf/usdt.bpf.h.",
        "bpf_program__attach",
        "tools/lib/bpf/libbpf.c",
        "the object",
    ),
    (
        "object_attach.user_file",
        "A user function: the file on the machine decides, not the kernel.",
        "bpf_program__attach",
        "tools/lib/bpf/libbpf.c",
        "the file",
    ),
    (
        "object_advice.guard",
        "How to test for what is absent before it is used: the branch that is not taken costs nothing.",
        "probe-scout",
        "advice, not a decision of the kernel",
        "the object, sys/kernel/btf",
    ),
    (
        "object_advice.path",
        "Where the field is on this kernel: deeper in the same struct, or under a like name. Compare their meaning.",
        "probe-scout",
        "advice, not a decision of the kernel",
        "the object, sys/kernel/btf",
    ),
    (
        "object_advice.helper",
        "Another helper that does nearly the same, and that this kernel has.",
        "probe-scout",
        "advice, not a decision of the kernel",
        "the object, sys/kernel/btf",
    ),
    (
        "object_advice.optional",
        "Programs that keep the object from loading while the others load. `?` before a section's name leaves one out.",
        "probe-scout",
        "advice, not a decision of the kernel",
        "the object, sys/kernel/btf",
    ),
)
