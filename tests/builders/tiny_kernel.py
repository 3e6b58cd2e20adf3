"""Write a whole small kernel as a snapshot folder, in the kernel's own file formats, from plain arguments.

A symbol is one line: `name`, or `name = alias`, then words: `[module]`, `data`, `init`, `percpu`, `behind`, `notrace`,
`blacklisted`, `injectable`, `nobtf`. Everything not said is as in a new kernel with every feature; `without` takes
single feature probes away (a function, an enumerator, an id set, a struct, `struct.member`).
"""

from __future__ import annotations

from typing import NamedTuple

from probe_scout.errors import Denied, NotThere
from probe_scout.formats.code_slices import Slice, write_slices
from tests.builders.btf_writer import BtfWriter
from tests.builders.format_writer import Field, event_format
from tests.builders.small_files import blacklist, error_injection, kconfig, note
from tests.builders.tree import manifest

STEXT, ETEXT = 0xFFFFFFFF81000000, 0xFFFFFFFF82000000
DATA, IDS = 0xFFFFFFFF82800000, 0xFFFFFFFF82C00000
SINITTEXT, EINITTEXT = 0xFFFFFFFF83000000, 0xFFFFFFFF84000000
MODULES = 0xFFFFFFFFC0200000
PER_CPU = 0x1F000
END, BEHIND = 0xFFFFFFFF85000000, 0xFFFFFFFF85200000
SYMBOL_BYTES = 0x100
SITE_OFFSET = 4  # behind endbr64

TRACING = "sys/kernel/tracing"
BLACKLIST = "sys/kernel/debug/kprobes/blacklist"
INJECTION = "sys/kernel/debug/error_injection/list"
LOCKDOWN = "sys/kernel/security/lockdown"
FILTER, FILTER_ADDRS = f"{TRACING}/available_filter_functions", f"{TRACING}/available_filter_functions_addrs"
BTF = "sys/kernel/btf/vmlinux"

FEATURE_FUNCTIONS = (
    *("bpf_prog_load", "__x64_sys_bpf", "perf_kprobe_init", "within_notrace_func", "count_symbols"),
    *("count_mod_symbols", "create_local_trace_kprobe"),
    *("validate_probe_symbol", "arch_adjust_kprobe_addr", "register_fprobe", "kallsyms_callback", "can_boost"),
    *("within_error_injection_list", "trace_call_bpf_faultable", "arch_bpf_trampoline_size", "register_ftrace_direct"),
    *(
        "bpf_trampoline_multi_attach",
        "bpf_lsm_verify_prog",
        "__cgroup_bpf_run_filter_skb",
        "bpf_iter_prog_supported",
        "perf_trace_init",
    ),
    *("perf_event_attach_bpf_prog", "bpf_trampoline_get", "ftrace_location"),
    *("bpf_get_raw_tracepoint", "lock_kernel_down", "bpf_dummy_init", "bpf_dummy_ops_check_member"),
    *("perf_uprobe_init", "__x64_sys_uretprobe", "inat_get_xop_attribute", "arch_uprobe_optimize", "insn_is_nop"),
)
ENUMERATORS = {
    "BPF_TRACE_FENTRY": 24,
    "BPF_TRACE_FEXIT": 25,
    "BPF_MODIFY_RETURN": 26,
    "BPF_TRACE_KPROBE_MULTI": 42,
    "BPF_LSM_CGROUP": 43,
    "BPF_TRACE_UPROBE_MULTI": 48,
    "BPF_TRACE_UPROBE_SESSION": 57,
    "BPF_TRACE_KPROBE_SESSION": 56,
    "BPF_TRACE_FSESSION": 58,
    "BPF_TRACE_FENTRY_MULTI": 59,
    "BPF_TRACE_FEXIT_MULTI": 60,
    "BPF_TRACE_FSESSION_MULTI": 61,
}
MEMBERS = {
    "bpf_prog_aux": ("attach_btf", "kprobe_write_ctx"),
    "bpf_attach_target_info": ("tgt_mod",),
    "btf_func_model": ("arg_flags",),
    "bpf_iter__cgroup": ("cgroup",),
    "btf_layout": ("info_sz",),
    "security_list_options": ("file_open", "task_free", "path_chmod", "vm_enough_memory"),
}
CONFIG = {
    **dict.fromkeys(("CONFIG_BPF_SYSCALL", "CONFIG_KPROBES", "CONFIG_KPROBE_EVENTS", "CONFIG_DYNAMIC_FTRACE"), "y"),
    **dict.fromkeys(("CONFIG_FPROBE", "CONFIG_DEBUG_INFO_BTF", "CONFIG_FUNCTION_ERROR_INJECTION"), "y"),
    **dict.fromkeys(("CONFIG_BPF_LSM", "CONFIG_EVENT_TRACING", "CONFIG_BPF_EVENTS"), "y"),
    **dict.fromkeys(("CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS", "CONFIG_SECURITY_LOCKDOWN_LSM"), "y"),
    **dict.fromkeys(("CONFIG_BPF_JIT", "CONFIG_KALLSYMS", "CONFIG_FUNCTION_TRACER"), "y"),
    "CONFIG_KPROBE_EVENTS_ON_NOTRACE": None,
}
SETS: dict[str, tuple[str, ...]] = {
    "btf_id_deny": ("migrate_disable",),
    "noreturn_deny": ("do_exit",),
    "btf_non_sleepable_error_inject": ("should_failslab",),
    "bpf_lsm_hooks": ("bpf_lsm_file_open", "bpf_lsm_task_free"),
    "sleepable_lsm_hooks": ("bpf_lsm_file_open",),
    "bpf_lsm_disabled_hooks": ("bpf_lsm_vm_enough_memory",),
}


class _Line(NamedTuple):
    """One symbol as written in the test."""

    names: tuple[str, ...]
    module: str | None
    words: frozenset[str]

    def has(self, word: str) -> bool:
        return word in self.words


def _line(text: str) -> _Line:
    words = text.split()
    names = [words.pop(0)]
    while words[:1] == ["="]:
        names.append(words[1])
        del words[:2]
    modules = [word[1:-1] for word in words if word.startswith("[")]
    return _Line(tuple(names), modules[0] if modules else None, frozenset(words))


def _types(b: BtfWriter) -> dict[str, int]:
    """Named types that prototypes are made of."""
    t = {"void": 0, "int": b.int("int", 4, True), "u64": b.int("u64", 8), "bool": b.int("bool", 1, encoding=4)}
    t["u128"] = b.int("u128", 16)
    t["ptr"] = b.ptr(0)
    t["float"] = b.float("float", 4)
    t["array"] = b.array(t["int"], 4)
    for size in (8, 16, 24):
        t[f"struct{size}"] = b.struct(f"s{size}", size, [(f"m{i}", t["u64"], i * 64) for i in range(size // 8)])
    t["union8"] = b.union("u8", 8, [("m", t["u64"], 0)])
    t["empty"] = b.struct("nothing", 0)
    t["meta"] = b.ptr(b.struct("bpf_iter_meta", 8, [("session_id", t["u64"], 0)]))
    t["prog_aux"] = b.ptr(b.const(b.struct("bpf_prog_aux", 8, [("id", t["u64"], 0)])))
    return t


def _prototype(b: BtfWriter, t: dict[str, int], returns: str, arguments: list[str]) -> int:
    """An argument is its type, or its type and name; "..." ends a list that goes on."""
    words = [(a.partition(" ")[0], a.partition(" ")[2] or f"a{i}") for i, a in enumerate(arguments)]
    return b.func_proto(t[returns], [("", 0) if kind == "..." else (name, t[kind]) for kind, name in words])


def tiny_files(
    symbols: list[str] | tuple[str, ...] = ("vfs_read",),
    *,
    prototypes: dict[str, tuple[str, list[str]]] | None = None,
    typed: tuple[str, ...] = (),
    events: tuple[str, ...] = ("sched:sched_switch",),
    bare: tuple[str, ...] = (),
    dynamic_events: tuple[str, ...] = (),
    iterators: tuple[str, ...] = (),
    ids: dict[str, tuple[str, ...]] | None = None,
    hide_ids: bool = False,
    without: tuple[str, ...] = (),
    config: dict[str, str | None] | None = None,
    lockdown: str = "none",
    lsm: str = "lockdown,capability,landlock,yama,apparmor,bpf",
    code: dict[str, tuple[str, tuple[str, ...]]] | None = None,
    hidden: bool = False,
    short_names: bool = False,
    missing: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
    tracefs_empty: bool = False,
    files: dict[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Path to bytes. `typed` are functions that BTF alone knows; `prototypes` maps names to (returns, arguments).

    `events` are `category:name` with words behind: `noraw`, `notyped`, `perf_perm`, `[module]`. `code` maps a name to
    (hexadecimal bytes, words of sites). `missing` files are not in the snapshot; `absent` ones the manifest
    says the kernel did not have. `tracefs_empty`: as in a kernel booted in lockdown=confidentiality. `hidden` writes
    addresses as kernel.kptr_restrict 2 does. `short_names`: KSYM_NAME_LEN is 128.
    """
    prototypes = {"count_symbols": ("int", ["ptr", "u64"]), **(prototypes or {})}
    prototypes = {"kallsyms_callback": ("int", ["ptr", "ptr", "u64"]), "can_boost": ("bool", []), **prototypes}
    parsed = [_line(text) for text in symbols]
    parsed += [_line(f"bpf_iter_{name}") for name in iterators]
    prototypes.update({f"bpf_iter_{name}": ("int", ["meta"]) for name in iterators})
    parsed += [_line(name) for name in FEATURE_FUNCTIONS if name not in without]
    described = [(event.split()[0].split(":"), event.split()[1:]) for event in events]
    parsed += [_line(f"perf_perm_{name} nobtf") for (_, name), words in described if "perf_perm" in words]
    raw_points = [name for (_, name), words in described if "noraw" not in words] + list(bare)
    in_module = {word[1:-1]: name for (_, name), words in described for word in words if word.startswith("[")}
    typed_points = [name for (_, name), words in described if "notyped" not in words] + list(bare)
    typed_points = [name for name in typed_points if name not in in_module.values()]
    parsed += [_line(f"__bpf_trace_tp_map_{name} data") for name in raw_points]

    # addresses
    at = {None: STEXT + 0x1000, "data": DATA, "init": SINITTEXT, "percpu": PER_CPU, "behind": BEHIND}
    placed: list[tuple[int, _Line]] = []
    module_base: dict[str, int] = {}
    for line in parsed:
        if line.module is not None:
            if line.module not in module_base:
                module_base[line.module] = MODULES + len(module_base) * 0x100000
            placed.append((module_base[line.module], line))
            module_base[line.module] += SYMBOL_BYTES
            continue
        where = next((word for word in ("data", "init", "percpu", "behind") if line.has(word)), None)
        placed.append((at[where], line))
        at[where] += SYMBOL_BYTES
    limits = (("_stext", STEXT), ("_etext", ETEXT), ("_sinittext", SINITTEXT), ("_einittext", EINITTEXT))
    rows = [(address, "T", name) for name, address in limits] + [(END, "B", "_end")]
    rows += [
        (address, "d" if line.has("data") or line.has("behind") else "A" if line.has("percpu") else "t", name)
        for address, line in placed
        if line.module is None
        for name in line.names
    ]
    where = IDS
    for title, members in {} if hide_ids else {**SETS, **(ids or {})}.items():
        if title in without:
            continue
        rows.append((where, "r", f"__BTF_ID__{'set8' if 'kfunc' in title else 'set'}__{title}"))
        where += 4
        for number, member in enumerate(members):
            rows.append((where, "r", f"__BTF_ID__func__{member}__{number}"))
            where += 4
    text = "".join(f"{0 if hidden else a:016x} {letter} {name}\n" for a, letter, name in sorted(rows, key=_address))
    for address, line in placed:
        if line.module is not None:
            letter = "d" if line.has("data") or line.has("behind") else "t"
            text += "".join(
                f"{0 if hidden else address:016x} {letter} {name}\t[{line.module}]\n" for name in line.names
            )

    # BTF
    b = BtfWriter()
    t = _types(b)
    b.enum("bpf_attach_type", {name: number for name, number in ENUMERATORS.items() if name not in without})
    for struct, members in MEMBERS.items():
        if struct in without:
            continue
        kept = [m for m in members if f"{struct}.{m}" not in without]
        b.struct(struct, 8 * len(kept), [(m, t["u64"], 64 * i) for i, m in enumerate(kept)])
    b.struct("bpf_ksym", 216 if short_names else 600, [("start", t["u64"], 0)])  # 5.10, 6.12: name[KSYM_NAME_LEN]
    for name in iterators:
        b.struct(f"bpf_iter__{name}", 8, [("meta", t["meta"], 0)])
    for name in typed_points:
        b.typedef(f"btf_trace_{name}", b.ptr(b.func_proto(0, [("__data", t["ptr"])])))
    done: set[str] = set()
    split: dict[str, BtfWriter] = {}
    for module, name in in_module.items():
        writer = split.setdefault(module, BtfWriter(base=b))
        proto = writer.func_proto(0, [("__data", t["ptr"])])
        writer.typedef(f"btf_trace_{name}", writer.ptr(proto))
    functions = [(line.module, name, line) for _, line in placed for name in line.names]
    for module, name, line in [*functions, *((None, name, None) for name in typed)]:
        if line is not None and (line.has("data") or line.has("nobtf")):
            continue
        if "." in name or name.startswith(("__pfx_", "__cfi_")) or f"{module}:{name}" in done or module is not None:
            continue
        done.add(f"{module}:{name}")
        b.func(name, _prototype(b, t, *prototypes.get(name, ("int", ["ptr"]))))
    for module, name, line in functions:
        if module is None or line.has("data") or line.has("nobtf") or "." in name:
            continue
        writer = split.setdefault(module, BtfWriter(base=b))
        writer.func(name, _prototype(writer, t, *prototypes.get(name, ("int", ["ptr"]))))

    traced = [
        (address, line)
        for address, line in placed
        if not ({"data", "init", "notrace"} & line.words) and not line.names[0].startswith(("__pfx_", "__cfi_"))
    ]
    listed = [(a, line.names[0] + (f" [{line.module}]" if line.module else "")) for a, line in traced]
    injectable = [(n, line.module, "ERRNO") for _, line in placed for n in line.names if line.has("injectable")]
    options = {**CONFIG, **(config or {})}
    found = {
        "proc/sys/kernel/osrelease": b"6.99.0-tiny\n",
        "proc/kallsyms": text.encode(),
        "proc/modules": "".join(
            f"{module} 16384 0 - Live 0x{0 if hidden else base:016x}\n" for module, base in module_base.items()
        ).encode(),
        "boot/config": kconfig(list(options.items())),
        "sys/kernel/notes": note(b"GNU", 3, bytes(range(20))),
        BTF: b.bytes(),
        **{f"sys/kernel/btf/{module}": writer.bytes() for module, writer in split.items()},
        FILTER: "".join(f"{name}\n" for _, name in listed).encode(),
        FILTER_ADDRS: "".join(f"{0 if hidden else a + SITE_OFFSET:016x} {name}\n" for a, name in listed).encode(),
        BLACKLIST: blacklist(
            [(a, a + SYMBOL_BYTES, line.names[0], line.module) for a, line in placed if line.has("blacklisted")],
            hidden,
        ),
        LOCKDOWN: " ".join(
            f"[{level}]" if level == lockdown else level for level in ("none", "integrity", "confidentiality")
        ).encode()
        + b"\n",
        "sys/kernel/security/lsm": lsm.encode(),
        f"{TRACING}/available_events": "".join(
            f"{category}:{name}\n" for (category, name), _ in described if category != "ftrace"
        ).encode(),
    }
    if "within_error_injection_list" not in without:
        found[INJECTION] = error_injection(injectable)
    for number, ((category, name), _) in enumerate(described, 300):
        folder = f"{TRACING}/events/{category}/{name}"
        found[f"{folder}/format"] = event_format(name, number, [Field("pid_t", "pid", 8, 4, 1)])
        found[f"{folder}/id"] = f"{number}\n".encode()
    if dynamic_events:
        found[f"{TRACING}/dynamic_events"] = "".join(f"p:{event} vfs_read\n" for event in dynamic_events).encode()
    if code is not None:
        slices = []
        for address, line in placed:
            for name in line.names:
                if name in code:
                    raw, words = code[name]
                    slices.append(Slice(line.module, name, address - STEXT, bytes.fromhex(raw), words))
        found["code/slices"] = write_slices(slices)
    found.update(files or {})
    found = {path: raw for path, raw in found.items() if path not in missing and path not in absent}
    unread = {path: {"kind": "not_there", "why": "No such file or directory"} for path in absent}
    if tracefs_empty:
        closed = [path for path in found if path.startswith(TRACING + "/")]
        unread.update((path, {"kind": "denied", "why": "tracefs is mounted but empty"}) for path in closed)
        found = {path: raw for path, raw in found.items() if path not in closed}
    if unread:
        found["manifest.json"] = manifest(found, unread=unread)
    return found


def _address(row: tuple[int, str, str]) -> int:
    return row[0]


class Changed:
    """A source with some files denied, taken away or replaced; everything else as it is."""

    def __init__(self, source, denied=(), missing=(), replaced=None):
        self.source, self.denied, self.missing, self.replaced = source, denied, missing, replaced or {}
        self.asked: list[str] = []

    def read(self, path):
        self.asked.append(path)
        if path in self.denied:
            raise Denied(path, "Operation not permitted", "read it as root")
        if path in self.missing:
            raise NotThere(path, "No such file or directory")
        return self.replaced[path] if path in self.replaced else self.source.read(path)

    def names(self, folder):
        if folder in self.denied:
            raise Denied(folder, "Operation not permitted", "read it as root")
        return tuple(n for n in self.source.names(folder) if f"{folder}/{n}" not in self.missing)

    def describe(self):
        return self.source.describe()
