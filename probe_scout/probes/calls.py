"""Which helpers and kfuncs a program may call on a kernel: exact where its image can be had, else from recorded sets.

The kernel decides in code (get_func_proto, btf_kfunc_id_set_contains), which only the image shows; formats/image runs
it. Without an image, rules/helper_sets knows what four recorded kernels agree on, and kallsyms which functions are in
a set of kfuncs at all. Without a caller (Kernel.set_caller), all capabilities.
"""

from __future__ import annotations

import os

from ..errors import Malformed, SourceError
from ..kernel import modules, text
from ..model.calls import RUN_ARCHITECTURES
from ..model.verdict import NO, UNKNOWN, YES
from ..named_tuple import NamedTuple
from ..rules import helper_sets, kfunc_sets, section_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..formats.image.facts import Facts
    from ..formats.image.iterators import Argument
    from ..formats.image.kfuncs import Permissions
    from ..formats.image.running import Running
    from ..kernel.kernel import Kernel
    from .kept_image import KeptAccesses, KeptImage, KeptKfuncs, KeptStructOps

_BY_IMAGE = "the kernel's image: register_btf_kfunc_id_set"
_ASK = "load the program"
_MODULE_CURE = "name all packages of the kernel in one folder, with --modules, or ask on a machine that has the module"
IMAGE, RECORDED, NONE = "image", "recorded", "none"
_BY_TABLE = "proc/kallsyms: its __BTF_ID__ sets, as recorded kernels have them"
_ANSWERS = {helper_sets.ALLOWED: YES, helper_sets.REFUSED: NO}
SLEEPABLE = 1 << 5  # KF_SLEEPABLE, include/linux/btf.h
_RIGHTS = {
    "CAP_BPF": "may_bpf",
    "CAP_PERFMON": "may_perfmon",
    "CAP_NET_ADMIN": "may_net",
    "CAP_SYS_ADMIN": "may_admin",
    "CAP_SYS_BOOT": "may_boot",
}


class Told(NamedTuple):
    """An answer (yes, no, unknown) with what decided it."""

    answer: str
    says: str
    evidence: str


class ModuleKfuncs(NamedTuple):
    """The kfuncs of a module by its file; `permissions` is None where that could not be read, and why."""

    permissions: Permissions | None
    why: str = ""
    cure: str = ""


class Calls:
    """The helpers and kfuncs of one kernel. The image is opened at the first question that needs it."""

    def __init__(self, k: Kernel, *, search: bool = True) -> None:
        """`search`: also look for the running kernel's image in /boot, and not only for one that was named."""
        self.k = k
        self._search = search
        self._tried = False
        self._image: KeptImage | None = None
        self._memory: Running | None = None
        self._modules: dict[str, ModuleKfuncs] = {}

    def from_image(self) -> KeptImage | None:
        """The image's helpers; None where there is no image, or one that cannot be run."""
        if not self._tried:
            self._tried = True
            self._open()
        return self._image

    def kfuncs(self) -> KeptKfuncs | None:
        """The image's kfuncs; None as for `from_image`. Read when they are first asked for."""
        image = self.from_image()
        return None if image is None else image.kfuncs()

    def module(self, name: str) -> ModuleKfuncs:
        """The kfuncs of a loaded module. Which program types share a set, only the kernel's image shows."""
        if name not in self._modules:
            found = self._read_module(name)
            if found.permissions is None and text.is_live(self.k):
                found = found._replace(permissions=self._running_module(name))
            self._modules[name] = found
        return self._modules[name]

    def _read_module(self, name: str) -> ModuleKfuncs:
        btf = self.k.btf()
        if btf is None or self.k.arch() not in RUN_ARCHITECTURES:
            return ModuleKfuncs(None, "the code of modules is read on x86-64 alone", _ASK)
        path = (modules.paths(self.k) or {}).get(name)
        raw = modules.file(self.k, path) if path is not None else None
        if path is None or raw is None:
            return ModuleKfuncs(None, f"the file of module {name} is not there", _MODULE_CURE)
        from ..formats.image import module_kfuncs

        try:
            facts = module_kfuncs.ModuleFacts(raw, path, btf)
            ours, theirs = modules.build_id(self.k, name), facts.build_id()
            if ours and theirs and ours != theirs:
                why = f"{path} is of another build ({theirs[:12]}; the loaded module is {ours[:12]})"
                return ModuleKfuncs(None, why, _MODULE_CURE)
            image = self.kfuncs()
            hooks = image.kfuncs.hooks if image is not None and not image.kfuncs.gave_up else None
            return ModuleKfuncs(module_kfuncs.permissions(facts, hooks))
        except (Malformed, ImportError) as error:
            return ModuleKfuncs(None, str(error), _ASK)

    def _running_module(self, name: str) -> Permissions | None:
        """By the kernel's memory; None where that cannot be read."""
        own = self.k.btf(name)
        try:
            from ..formats.image import running

            return running.module(self._running(), name, own) if own is not None else None
        except (Malformed, ImportError):
            return None

    def accesses(self) -> KeptAccesses | None:
        """What programs may load and store of their contexts; None as for `from_image`."""
        image = self.from_image()
        return None if image is None else image.accesses()

    def iterator(self, target: str) -> tuple[Argument, ...] | None:
        """Arguments that an iterator registers; None where nothing shows them."""
        image = self.from_image()
        return None if image is None else image.iterator(target)

    def struct_ops(self) -> KeptStructOps | None:
        """Members of struct_ops structs of vmlinux; None as for `from_image`."""
        image = self.from_image()
        return None if image is None else image.struct_ops()

    def rights(self) -> frozenset[int] | None:
        """Numbers of the caller's capabilities that helpers ask for; None for all."""
        if self.k.caller is None:
            return None
        from ..formats.image.program import CAPABILITIES

        return frozenset(CAPABILITIES[cap] for cap, privilege in _RIGHTS.items() if self.k.feature(privilege) is True)

    def basis(self) -> str:
        """Where answers about helpers come from."""
        if self.from_image() is not None:
            return IMAGE
        return RECORDED if self.k.btf() is not None else NONE

    def _open(self) -> None:
        if (self.k.image is None and not self._search) or self.k.arch() not in RUN_ARCHITECTURES:
            return
        raw = text.image_bytes(self.k)
        if raw is None:
            self._open_running()
            return
        import hashlib

        from .kept_image import KeptImage

        try:
            found = KeptImage(hashlib.sha256(raw).hexdigest(), self._facts, in_advance=self._search)
        except (Malformed, ImportError):
            return
        ours = self.k.build_id()
        if not ours or not found.build_id or found.build_id == ours:
            self._image = found
        else:
            text.image_of(self.k)  # notes that it is of another build

    def _open_running(self) -> None:
        """Where the machine has no image of its kernel, its memory tells, if it may be read."""
        if not text.is_live(self.k):
            return
        from ..formats.image import running
        from .kept_image import KeptImage

        state = "\0".join(("running", self.k.build_id() or "", self._boot()))
        try:
            self._image = KeptImage(state, self._running, self._search, running.permissions)
        except (Malformed, ImportError):
            return

    def _boot(self) -> str:
        """What tells this boot from every other."""
        try:
            return self.k.read("proc/sys/kernel/random/boot_id").strip().decode("ascii", "replace")
        except SourceError:
            return f"unknown, process {os.getpid()}"

    def _running(self) -> Running:
        if self._memory is None:
            from ..formats.image.running import Running

            btf, read, kallsyms = self.k.btf(), text.running_reader(self.k), self.k.kallsyms()
            if btf is None or read is None or kallsyms is None:
                raise Malformed("proc/kcore", 0, "types and symbols of the running kernel", "none")
            self._memory = Running(read, kallsyms, btf)
        return self._memory

    def _facts(self) -> Facts:
        from ..formats.image.facts import of_image

        image = text.image_of(self.k)
        if image is None:
            raise Malformed("the kernel's image", 0, "one that can be read", self.k.code_why())
        return of_image(image)

    def keep(self) -> None:
        """Keep what the image's checks said for the next run."""
        if self._image is not None:
            self._image.keep()

    def helper(self, program: str, number: int, attach: str | None = None, sleeps: bool = False) -> str:
        """ALLOWED, REFUSED, DIFFERS or UNTOLD of rules/helper_sets.

        `program` and `attach` are enumerators without BPF_PROG_TYPE_ and BPF_; attach "" is the number 0 that loaders
        leave, None is not said.
        """
        image = self.from_image()
        if image is not None and program in image.types:
            kind = image.attach_types.get(attach, 0) if attach is not None else None
            from ..formats.image.program import Program

            asked = Program(
                image.types[program], kind, sleeps, rights=self.rights(), lockdown=self.k.lockdown() or "none"
            )
            found = image.proto(asked, number)
            told = None if found is None else bool(found)
            if told is not None:
                return helper_sets.ALLOWED if told else helper_sets.REFUSED
            return helper_sets.DIFFERS
        return helper_sets.of_type(program, number)

    def helper_types(self, program: str, number: int) -> tuple[str, tuple[str, ...]]:
        """The answer of a type for all its attach types, and where these differ, the ones that may call it."""
        state = self.helper(program, number)
        image = self.from_image()
        if state != helper_sets.DIFFERS or image is None or not image.function(image.types[program]):
            return _ANSWERS.get(state, UNKNOWN), ()
        kinds = [kind for kind in attach_types(program) if not kind or kind in image.attach_types]
        states = {kind: self.helper(program, number, kind) for kind in kinds}
        found = set(states.values())
        if len(found) == 1:
            return _ANSWERS.get(found.pop(), UNKNOWN), ()
        allowed = tuple(kind.lower() for kind, one in states.items() if kind and one == helper_sets.ALLOWED)
        return UNKNOWN, allowed

    def kfunc(
        self,
        name: str,
        program: str,
        attach: str | None = None,
        module: str | None = None,
        sleeps: bool | None = None,
    ) -> Told:
        """Whether a program of this type may call a kfunc (kernel/bpf/verifier.c, check_kfunc_call: EACCES).

        `sleeps` false: the program is not sleepable, which a kfunc with KF_SLEEPABLE wants. None: not said.
        """
        ids = self.k.ids()
        if module:
            return self._kfunc_of_module(module, name, program, attach, sleeps)
        image = self.kfuncs()
        if image is not None:
            told = self._kfunc_of_image(image, name, program, attach, _BY_IMAGE)
            return self._awake(told, image, name, sleeps)
        if not ids.visible:
            return Told(UNKNOWN, f"kallsyms does not show which program types may call {name}", "")
        if not ids.is_kfunc(name):
            return Told(NO, f"{name} is a function of this kernel and no kfunc", "proc/kallsyms: __BTF_ID__ sets")
        return self._kfunc_recorded(name, program, sleeps)

    @staticmethod
    def _awake(told: Told, image: Permissions | KeptKfuncs, name: str, sleeps: bool | None) -> Told:
        """A yes for programs that do not sleep is a no for a kfunc that may."""
        if told.answer == YES and sleeps is False and image.flags.get(name, 0) & SLEEPABLE:
            source = told.evidence.partition(":")[0]
            return Told(NO, f"{name} may sleep, and the program is not sleepable", f"{source}: KF_SLEEPABLE")
        return told

    def _kfunc_of_module(self, module: str, name: str, program: str, attach: str | None, sleeps: bool | None) -> Told:
        found = self.module(module)
        if found.permissions is None:
            says = f"{name} is of module {module}; which programs may call it is code, and {found.why}: {found.cure}"
            return Told(UNKNOWN, says, "")
        evidence = f"the file of module {module}: register_btf_kfunc_id_set"
        told = self._kfunc_of_image(found.permissions, name, program, attach, evidence)
        if told.answer == UNKNOWN and not found.permissions.kfuncs.gave_up and self.kfuncs() is None:
            says = f"which program types share the sets of {module} is code of the kernel, which its image shows"
            return Told(UNKNOWN, says, evidence)
        return self._awake(told, found.permissions, name, sleeps)

    def _kfunc_recorded(self, name: str, program: str, sleeps: bool | None) -> Told:
        """By what recorded kernels agree on of a kfunc in the same sets; an assumption that `says` names."""
        found = self._recorded(name, program)
        if found is None:
            return Told(
                UNKNOWN,
                f"{name} is a kfunc here; which program types may call it is code, which the kernel's image shows",
                "proc/kallsyms: __BTF_ID__ sets",
            )
        if not found.allowed:
            says = f"{name} is not for programs of type {program.lower()}, assumed that {kfunc_sets.ASSUMED}"
            return Told(NO, says, _BY_TABLE)
        if sleeps is False and found.may_sleep:
            says = (
                f"{name} may sleep, and the program is not sleepable, assumed that it has the flags of recorded kernels"
            )
            return Told(NO, says, _BY_TABLE)
        says = f"{name} is for programs of type {program.lower()}, assumed that {kfunc_sets.ASSUMED}"
        return Told(YES, says, _BY_TABLE)

    def _recorded(self, name: str, program: str) -> kfunc_sets.Recorded | None:
        btf, ids = self.k.btf(), self.k.ids()
        if btf is None or not ids.visible or not kfunc_sets.fits(btf.enumerators("btf_kfunc_hook").keys()):
            return None
        sets = frozenset(title for title in ids.flagged if name in ids.sets[title])
        return kfunc_sets.recorded(name, sets, program)

    def is_recorded(self, told: Told) -> bool:
        """The answer is what recorded kernels agree on, and rests on an assumption."""
        return told.evidence == _BY_TABLE

    def may_sleep(self, name: str, program: str = "TRACING", module: str | None = None) -> bool:
        """Whether the image, else what recorded kernels agree on, marks a kfunc with KF_SLEEPABLE; else False."""
        image: Permissions | KeptKfuncs | None = self.module(module).permissions if module else self.kfuncs()
        if module and image is None:
            return False
        if image is not None:
            return bool(image.flags.get(name, 0) & SLEEPABLE)
        found = self._recorded(name, program)
        return found is not None and found.may_sleep

    def _kfunc_of_image(
        self, image: Permissions | KeptKfuncs, name: str, program: str, attach: str | None, evidence: str
    ) -> Told:
        facts = self.k.btf()
        assert facts is not None
        number = facts.enumerators("bpf_prog_type").get(f"BPF_PROG_TYPE_{program}")
        if number is None:
            return Told(NO, f"this kernel knows no program type {program.lower()}", "enum bpf_prog_type")
        if program == "EXT":
            return Told(UNKNOWN, "a replacement may call what the program that it replaces may call", "")
        if image.kfuncs.gave_up:
            return Told(UNKNOWN, f"a registration of kfuncs could not be run: {image.kfuncs.gave_up[0]}", evidence)
        kind = facts.enumerators("bpf_attach_type").get(f"BPF_{attach}", 0) if attach is not None else None
        told = image.allowed(name, number, kind)
        if told is None:
            return Told(UNKNOWN, f"whether {name} is refused depends on more than the type of the program", evidence)
        if told:
            return Told(YES, f"{name} is registered for programs of type {program.lower()}", evidence)
        if name not in image.ids:
            return Told(NO, f"{name} is in no set of kfuncs of this kernel", evidence)
        return Told(NO, f"{name} is not for programs of type {program.lower()}", evidence)


# Operations whose names are not those of the type (include/linux/bpf_types.h).
_PROGRAM_OPS = {
    "SOCKET_FILTER": "sk_filter",
    "SCHED_CLS": "tc_cls_act",
    "SCHED_ACT": "tc_cls_act",
    "CGROUP_SKB": "cg_skb",
    "CGROUP_SOCK": "cg_sock",
    "CGROUP_SOCK_ADDR": "cg_sock_addr",
    "CGROUP_DEVICE": "cg_dev",
    "CGROUP_SYSCTL": "cg_sysctl",
    "CGROUP_SOCKOPT": "cg_sockopt",
    "STRUCT_OPS": "bpf_struct_ops",
    "EXT": "bpf_extension",
    "SYSCALL": "bpf_syscall",
}
_ALWAYS = ("array_map_ops", "sk_filter_verifier_ops")  # where kallsyms lacks these, it shows no data symbols


def operations(program: str) -> str:
    """The variable that a kernel has if the program type was compiled in."""
    return f"{_PROGRAM_OPS.get(program, program.lower())}_verifier_ops"


def shown_operations(k: Kernel) -> frozenset[str]:
    """Operations of program and map types in kallsyms, all in two searches; empty where it shows no such variables."""
    raw = k.kallsyms()
    found = set()
    for ending in (b"_verifier_ops\n", b"_map_ops\n") if raw is not None else ():
        assert raw is not None
        at = raw.find(ending)
        while at >= 0:  # a module's line ends with its name
            found.add(raw[raw.rfind(b" ", 0, at) + 1 : at + len(ending) - 1].decode("utf-8", "replace"))
            at = raw.find(ending, at + 1)
    return frozenset(found) if found.issuperset(_ALWAYS) else frozenset()


def attach_types(program: str) -> tuple[str, ...]:
    """Expected attach types of a program type in libbpf's table; "" where loaders leave 0."""
    return tuple(dict.fromkeys(row.attach for row in section_names.TABLE if row.program == program))


def program_of(attach: str) -> tuple[str, str, bool] | None:
    """(program type, expected attach type, whether it sleeps) of an attach type's name; None for one without."""
    row = section_names.of(attach)
    return None if row is None else (row.program, row.attach, row.sleepable)
