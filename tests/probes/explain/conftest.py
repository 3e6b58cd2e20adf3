"""A kernel for diagnosis, made of a few lines: what exists is written in the test, the rest does not exist."""

from __future__ import annotations

from probe_scout.model.target import parse
from probe_scout.model.verdict import Verdict
from probe_scout.probes.explain.protocol import SymbolView

FUNCTION_TYPES = ("kprobe", "kretprobe", "kprobe.multi", "kretprobe.multi", "fentry", "fexit")


class FakeLookup:
    """`symbols` are kallsyms lines without addresses: "T vfs_read", "t flush [md_mod]"; D and B are data.

    Text is traced and in BTF unless named in `notrace` or `not_in_btf`, or has a dot (no BTF then).
    Names in `hidden` answer as on a kernel whose filter list could not be read.
    """

    def __init__(
        self,
        symbols=(),
        *,
        notrace=(),
        blacklist=(),
        init=(),
        btf=(),
        not_in_btf=(),
        events=(),
        config=None,
        modules=None,
        loaded=(),
        files=None,
        prototypes=None,
        arch="x86_64",
        base=0xFFFFFFFF81000000,
        unread_trace=False,
        no_btf=False,
    ):
        self.arch, self.no_btf = arch, no_btf
        self._symbols = {}
        self._events = tuple(tuple(event.split(":")) for event in events)
        self._config = {"CONFIG_KALLSYMS": "y", **config} if config is not None else {}
        self._btf = set(btf)
        self._prototypes = prototypes or {}
        self._files, self._module_symbols = files, modules or {}
        loaded = set(loaded)
        for count, line in enumerate(symbols):
            letter, name, *rest = line.split()
            module = rest[0].strip("[]") if rest else None
            text = letter in "tTwW"
            traced = text and name not in notrace and name not in init and not name.endswith(".cold")
            view = SymbolView(
                name,
                module,
                letter,
                text,
                name in init,
                None if unread_trace else traced,
                name in blacklist,
                base + 0x1000 * count if base else 0,
            )
            if f"{name}@{count}" in notrace:
                view = view._replace(traced=False)
            self._symbols.setdefault(name, []).append(view)
            if module:
                loaded.add(module)
            if traced and "." not in name and name not in not_in_btf:
                self._btf.add(name)
        self._loaded = frozenset(loaded)
        self.asked = []

    def symbols(self, name):
        return tuple(self._symbols.get(name, ()))

    def has_symbols(self):
        return True

    def variants(self, name):
        return tuple(other for other in self._symbols if other.startswith(name + "."))

    def has_btf(self):
        return not self.no_btf

    def has_btf_function(self, name):
        return name in self._btf

    def prototype_text(self, name):
        return self._prototypes.get(name)

    def function_names(self):
        return [name for name, views in self._symbols.items() if views[0].is_text and not name.startswith("__pfx_")]

    def event_exists(self, category, name):
        return (category, name) in self._events

    def events(self):
        return self._events

    def config(self, option):
        return self._config.get(option)

    def modules_loaded(self):
        return self._loaded

    def module_files(self):
        return self._files

    def module_symbols(self, module):
        return self._module_symbols.get(module)

    def answer(self, target, attach):
        self.asked.append((target, attach))
        target = parse(target)
        if target.kind == "tracepoint":
            if target.module is None:
                bare = attach in ("raw_tp", "tp_btf") and self.symbols(f"__traceiter_{target.name}")
                return "yes" if bare else "no"
            exists = self.event_exists(target.module, target.name)
            return "yes" if exists and (attach == "tp" or target.module != "syscalls") else "no"
        if target.kind == "syscall":
            return "yes" if self.symbols(f"__x64_sys_{target.name}") and attach == "ksyscall" else "no"
        copies = [s for s in self.symbols(target.name) if target.module in (None, s.module)]
        if not copies:
            return "no"
        if any(s.traced is None for s in copies):
            return "unknown"
        if attach in ("kprobe", "kretprobe"):
            return "yes" if len(copies) == 1 and copies[0].traced and not copies[0].blacklisted else "no"
        if attach in ("kprobe.multi", "kretprobe.multi"):
            return "yes" if any(s.traced for s in copies) else "no"
        if attach in ("fentry", "fexit"):
            return "yes" if copies[0].traced and self.has_btf_function(target.name) else "no"
        if attach == "lsm":
            return "yes" if target.name.startswith("bpf_lsm_") else "no"
        return "no"

    def verdicts(self, target, types=None):
        """The verdicts of a check by this kernel's own answers."""
        kinds = {"tracepoint": ("tp", "tp_btf"), "syscall": ("ksyscall",)}
        types = types or kinds.get(parse(target).kind, FUNCTION_TYPES)
        return tuple(Verdict(attach, self.answer(target, attach)) for attach in types)
