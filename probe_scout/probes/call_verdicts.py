"""May a program of a type call a helper or kfunc, at a function: `check helper:bpf_d_path@filp_close --type fentry`.

The traits come from the kernel's image where it can be had (probes/calls.py), else from recorded kernels and the sets
that kallsyms shows.
"""

from __future__ import annotations

from ..errors import SourceError, UsageError
from ..kernel import located
from ..model import facts
from ..model.asked import PROGRAM_TYPES
from ..model.attach import ATTACH_TYPES, INJECTED
from ..model.calls import image_cure
from ..model.facts import Unread
from ..model.report import Alternative, Coverage, TargetReport
from ..model.target import FUNCTION, TRACEPOINT
from ..model.traits import CallTraits
from ..model.verdict import NO, UNKNOWN, YES, Finding, Verdict
from ..named_tuple import NamedTuple
from ..rules import call, helper_sets, judge
from .attach import evidence as verdict_evidence
from .attach import targets, verdicts
from .calls import Calls, attach_types, operations, program_of, shown_operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..formats.image.kfuncs import Permissions
    from ..formats.image.program import Program
    from ..kernel.kernel import Kernel
    from ..model.target import Target
    from .kept_image import KeptKfuncs

HELPER, KFUNC = "helper", "kfunc"
_INSTEAD_MAX = 6
_ELSEWHERE = 0x7FFFFFFF  # the id of a type that is in no set of vmlinux
_ALLOW_LISTS = {"d_path": "btf_allowlist_d_path"}  # helper to the set of functions where it is allowed
_SLEEPERS = frozenset(("TRACING", "LSM", "KPROBE", "STRUCT_OPS", "SYSCALL", "EXT"))
_EVENTS, _SLEEPY_EVENTS = ("TRACEPOINT", "RAW_TRACEPOINT"), "faultable_events"
_SLEEPABLE_HOOKS = "sleepable_lsm_hooks"
_OVERRIDE = "override_return"


class Column(NamedTuple):
    """A type that was asked for. `attach` None: not said; `sleeps` None: both kinds of programs are meant."""

    title: str
    program: str
    attach: str | None
    sleeps: bool | None


def column(title: str) -> Column:
    """An attach type or a program type by its name. Raises UsageError for what has no programs of its own."""
    if title in ATTACH_TYPES:
        row = program_of(title)
        if row is None:
            raise UsageError(f"--type {title}: its programs have no type of their own")
        return Column(title, row[0], row[1], row[2])
    kinds = attach_types(title.upper())
    return Column(title, title.upper(), kinds[0] if len(kinds) == 1 else None, None)


class Question:
    """One helper or kfunc of one kernel, and the place where the program is attached, if one was named."""

    def __init__(self, k: Kernel, calls: Calls, name: str, place: str, types: Sequence[str]) -> None:
        self.k, self.calls, self.name = k, calls, name
        self.target: Target | None = targets.asked(k, place, types).target if place else None
        btf = k.btf()
        number = btf.enumerators("bpf_func_id").get(f"BPF_FUNC_{name.removeprefix('bpf_')}") if btf else None
        self.kind = HELPER if number is not None else KFUNC
        self.number = number or 0
        self._built: dict[tuple[str, str | None], bool | None] = {}
        self._shown: frozenset[str] | None = None

    def named(self, name: str, number: int) -> Question:
        """The same question about another helper, or with number 0 about a kfunc."""
        self.name, self.number, self.kind = name, number, HELPER if number else KFUNC
        return self

    # Traits.

    def judged(self, one: Column) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        """The traits of a call, what could not be read, what a yes leaves open, and the evidence."""
        if self.k.btf() is None:
            gap = self.k.unread(facts.BTF)
            return _gap(), (gap,) if gap is not None else (), (), ""
        rights = self._rights(one)
        if rights is not None:
            return rights
        key = one.program, one.attach
        if key not in self._built:  # asked of every helper for a card
            self._built[key] = self._is_built(one)
        built = self._built[key]
        if built is None:
            return _untold("the types of this kernel do not show it", "record a whole snapshot", "")
        if not built:
            return CallTraits(no_program=True), (), (), "sys/kernel/btf/vmlinux: enum bpf_prog_type; proc/kallsyms"
        return self._helper(one) if self.kind == HELPER else self._kfunc(one)

    def _rights(self, one: Column) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str] | None:
        """What keeps the caller from loading such a program; None where nothing does."""
        if self.k.caller is None:
            return None
        may = [self.k.feature(privilege) for privilege in call.rights_to_load(one.program)]
        if one.program in call.UNPRIVILEGED and self._is_open_to_all():
            return None
        if False in may:
            return CallTraits(may_not_load=True), (), (), "the caller's capabilities"
        if None in may:
            return CallTraits(unread=frozenset((facts.CAPABILITIES,))), (), (), ""
        return None

    def _is_open_to_all(self) -> bool:
        """kernel.unprivileged_bpf_disabled is 0: socket filters and cgroup_skb programs load without capabilities."""
        try:
            return self.k.read("proc/sys/kernel/unprivileged_bpf_disabled").strip() == b"0"
        except SourceError:
            return False

    def _is_built(self, one: Column) -> bool | None:
        """None where the types of a part of a kernel lack the enum."""
        btf = self.k.btf()
        assert btf is not None
        numbers = btf.enumerators("bpf_prog_type")
        if not numbers and self.k.partial():
            return None
        if f"BPF_PROG_TYPE_{one.program}" not in numbers:
            return False
        image = self.calls.from_image()
        if image is None:
            if self._shown is None:
                self._shown = shown_operations(self.k)
            known = not self._shown or operations(one.program) in self._shown
        else:
            known = one.program in ("EXT", "STRUCT_OPS") or image.function(image.types[one.program])
        return known and (not one.attach or f"BPF_{one.attach}" in btf.enumerators("bpf_attach_type"))

    def _helper(self, one: Column) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        image = self.calls.from_image()
        if image is None or one.program not in image.types:
            return self._recorded(one)
        evidence = f"the kernel's image: get_func_proto of {one.program.lower()} programs"
        program = self._program(one)
        if program is None:
            return _untold("whether the kernel is locked down could not be read", "read it as root", evidence)
        proto = image.proto(program, self.number)
        if proto is None:
            return self._untold_type(one, evidence)
        if not proto and not program.sleeps:
            # Before might_sleep, get_func_proto itself looked whether the program sleeps.
            awake = image.proto(program._replace(sleeps=True), self.number)
            if awake and one.sleeps is False:
                return CallTraits(sleeps=True), (), (), evidence
            if awake and not self._may_sleep(one):
                return CallTraits(sleeps=True), (), (), evidence
            if awake:
                program, proto = program._replace(sleeps=True), awake
        if not proto:
            return CallTraits(refused=self._why(program)), (), (), evidence
        says = image.read(proto)
        permitted = image.permits(program, says.allowed) if says.allowed else True
        if permitted is None:
            return _untold(f"it depends on {self._places(one)}", "name it: --target FUNCTION", evidence)
        if not permitted:
            return CallTraits(refused="place"), (), (), evidence.replace("get_func_proto", "bpf_func_proto.allowed")
        traits = CallTraits(sleeps=says.might_sleep and (one.sleeps is False or not self._may_sleep(one)))
        return *self._overriding(traits), self._notes(one, says.gpl_only, says.might_sleep or program.sleeps), evidence

    def _may_sleep(self, one: Column) -> bool:
        """Some program of the type may be loaded as sleepable (kernel/bpf/verifier.c, can_be_sleepable)."""
        if one.program in _EVENTS:  # not told where nothing shows it: then the note says what is open
            return self.k.feature(_SLEEPY_EVENTS) is not False
        return one.program in _SLEEPERS

    def _why(self, program: Program) -> str:
        """Which of the things that were said of the program refuses it."""
        image = self.calls.from_image()
        assert image is not None
        if program.lockdown != "none" and image.proto(program._replace(lockdown="none"), self.number):
            return "lockdown"
        if program.rights is not None and image.proto(program._replace(rights=None), self.number):
            return "rights"
        return "type"

    def _untold_type(
        self, one: Column, evidence: str
    ) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        image = self.calls.from_image()
        assert image is not None
        if not image.function(image.types[one.program]):
            says = "programs of this type get the rules of what they belong to when they are loaded"
            return _untold(says, "ask the running kernel: load the program", evidence)
        some = self.calls.helper_types(one.program, self.number)[1] if one.attach is None else ()
        if some:
            return _untold(f"only programs of {', '.join(some)} may", "ask for an attach type: --type", evidence)
        what = "more than the type" if self.target is not None else "more than the type, such as the attach point"
        return _untold(
            f"the kernel asks for {what} of the program", "name the attach point: --target FUNCTION", evidence
        )

    def _recorded(self, one: Column) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        """By recorded kernels, and by the sets in kallsyms for the place."""
        state = helper_sets.of_type(one.program, self.number)
        evidence = "recorded kernels, which agree"
        if state == helper_sets.REFUSED:
            return CallTraits(refused="type"), (), (), evidence
        plain = self.name.removeprefix("bpf_")
        if plain in _ALLOW_LISTS and (placed := self._listed(one, plain)) is not None:
            return placed
        if state != helper_sets.ALLOWED:
            return _untold("it is code of this kernel, and recorded kernels differ or were not asked", self._cure(), "")
        sleeps = self.number in helper_sets.SLEEPS
        traits = CallTraits(sleeps=sleeps and one.sleeps is False)
        gpl = helper_sets.is_gpl_only(self.number)
        return *self._overriding(traits), self._notes(one, gpl, sleeps), evidence

    def _listed(
        self, one: Column, plain: str
    ) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str] | None:
        """bpf_d_path (kernel/trace/bpf_trace.c, bpf_d_path_allowed); None where nothing shows the sets."""
        ids = self.k.ids()
        if not ids.visible or one.program not in ("TRACING", "LSM") or one.attach is None:
            return None
        if one.attach == "TRACE_ITER":
            return None
        title = _ALLOW_LISTS[plain] if one.program == "TRACING" else _SLEEPABLE_HOOKS
        members = ids.sets.get(title)
        if members is None:
            return None
        evidence = f"proc/kallsyms: __BTF_ID__ set {title}"
        if self.target is None:
            return _untold(f"it depends on {self._places(one)}", "name it: --target FUNCTION", evidence)
        if self.target.name in members and self.target.module in (None, "vmlinux"):
            return CallTraits(), (), (), evidence
        return CallTraits(refused="place"), (), (), evidence

    def _places(self, one: Column) -> str:
        found = self._allow_list() if one.program == "TRACING" else ()
        listed = f": tracing programs may on {', '.join(found)}" if found else ""
        return f"what the program is attached to{listed}"

    def _allow_list(self) -> tuple[str, ...]:
        title = _ALLOW_LISTS.get(self.name.removeprefix("bpf_"), "")
        return tuple(sorted(self.k.ids().sets.get(title, ())))

    def _kfunc(self, one: Column) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        btf = self.k.btf()
        assert btf is not None
        if not btf.has_name("bpf_kfunc_desc"):
            return CallTraits(no_calls=True), (), (), "sys/kernel/btf/vmlinux: no struct bpf_kfunc_desc"
        found = located.btf_function(self.k, self.name, None)
        if found is None:
            if self.k.partial():
                return _untold("a partial snapshot does not have every function", "record a whole one", "")
            return CallTraits(absent=True), (), (), "sys/kernel/btf: vmlinux and modules"
        if found[0] is not None:
            return self._kfunc_of_module(found[0], one)
        if self.k.ids().holds(call.DEVICE_BOUND_SET, self.name):
            return self._device_bound(one)
        return self._kfunc_of_vmlinux(one)

    def _device_bound(self, one: Column) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        """kernel/bpf/offload.c, bpf_dev_bound_kfunc_check: only XDP programs can be bound to a device as it wants."""
        if one.program == "EXT":
            return self._kfunc_of_vmlinux(one)
        evidence = f"proc/kallsyms: __BTF_ID__ set {call.DEVICE_BOUND_SET}"
        if one.program != "XDP":
            return CallTraits(not_bound=True), (), (), evidence
        traits, unread, notes, evidence = self._kfunc_of_vmlinux(one)
        says = "The program must be loaded for one device, with BPF_F_XDP_DEV_BOUND_ONLY and its prog_ifindex: another "
        note = Finding("call.device_bound", f"{says}is refused (EINVAL).", evidence)
        return traits, unread, (*notes, note), evidence

    def _kfunc_of_vmlinux(self, one: Column) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        program, image = self._program(one), self.calls.kfuncs()
        if image is None or program is None:
            return self._kfunc_by_sets(one)
        return self._kfunc_of(image, program, one, "the kernel's image: register_btf_kfunc_id_set")

    def _kfunc_of_module(
        self, module: str, one: Column
    ) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        found = self.calls.module(module)
        evidence = f"the file of module {module}: register_btf_kfunc_id_set"
        if found.permissions is None:
            says = f"{self.name} is of module {module}; which programs may call it is code, and {found.why}"
            return _untold(says, found.cure, "")
        program = self._program(one)
        if program is not None:
            return self._kfunc_of(found.permissions, program, one, evidence)
        told = self.calls.kfunc(self.name, one.program, one.attach, module, one.sleeps)
        if told.answer == UNKNOWN:
            return _untold(told.says, self._cure(), told.evidence)
        if told.answer == NO:
            sleeps = "may sleep" in told.says
            return CallTraits(sleeps=sleeps, refused="" if sleeps else "type"), (), (), evidence
        sleepy = self.calls.may_sleep(self.name, one.program, module)
        return CallTraits(), (), self._notes(one, True, sleepy), evidence

    def _kfunc_of(
        self, image: Permissions | KeptKfuncs, program: Program, one: Column, evidence: str
    ) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        if self.name not in image.ids and not image.kfuncs.gave_up:
            return CallTraits(refused="set"), (), (), evidence
        permitted = None if one.program == "EXT" else image.permits(program, self.name)
        if permitted is None and image.kfuncs.gave_up:
            return _untold(f"a registration of kfuncs was not read: {image.kfuncs.gave_up[0]}", "load the program", "")
        if permitted is None:
            return _untold(
                "a filter of its set asks for more than is said of the program", "load the program", evidence
            )
        if not permitted:
            return CallTraits(refused="type"), (), (), evidence
        names = set(_flag_names(image.flags.get(self.name, 0)))
        boot = self.k.caller is not None and self.k.feature("may_boot") is not True
        traits = CallTraits(
            sleeps="sleepable" in names and (one.sleeps is False or not self._may_sleep(one)),
            destructive="destructive" in names and boot,
            no_perfmon="perfmon" in names and self._lacks_perfmon(),
            walks_css=self._walks_css(one),
        )
        return traits, (), self._notes(one, True, "sleepable" in names), evidence

    def _walks_css(self, one: Column) -> bool:
        """kernel/bpf/verifier.c, check_css_task_iter_allowlist: by the program, whatever the kfunc's sets say."""
        if self.name != call.CSS_TASK_ITER or one.program == "LSM" or one.attach == "TRACE_ITER":
            return False
        return one.sleeps is False or not self._may_sleep(one)

    def _lacks_perfmon(self) -> bool:
        return self.k.caller is not None and self.k.feature("may_perfmon") is False

    def _kfunc_by_sets(self, one: Column) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
        told = self.calls.kfunc(self.name, one.program, one.attach)
        if told.answer != UNKNOWN and self.calls.is_recorded(told):
            note = Finding("call.kfunc_recorded", f"{told.says}.", told.evidence)
            if told.answer == NO:
                return CallTraits(refused="type"), (), (note,), f"{told.evidence}; {told.says}"
            may_sleep = self.calls.may_sleep(self.name, one.program)
            traits = CallTraits(
                sleeps=may_sleep and (one.sleeps is False or not self._may_sleep(one)), walks_css=self._walks_css(one)
            )
            return traits, (), (*self._notes(one, True, may_sleep), note), told.evidence
        if told.answer == NO:
            return CallTraits(refused="set"), (), (), told.evidence
        return _untold(told.says, self._cure(), told.evidence)

    def _cure(self) -> str:
        return image_cure(self.k.arch())

    def _overriding(self, traits: CallTraits) -> tuple[CallTraits, tuple[Unread, ...]]:
        """bpf_override_return wants a function of the error-injection list, at attach."""
        if self.name.removeprefix("bpf_") != _OVERRIDE or self.target is None:
            return traits, ()
        listed = self.k.injectable()
        gap = self.k.unread(facts.ERROR_INJECTION)
        if gap is not None:
            return traits._replace(overrides=True, unread=frozenset((facts.ERROR_INJECTION,))), (gap,)
        return traits._replace(overrides=True, injectable=self.target.name in listed), ()

    def _may_override(self) -> tuple[Finding, ...]:
        """Which values the function's callers expect of bpf_override_return; the kernel does not check them."""
        kind = self.k.injectable().get(self.target.name, "") if self.target is not None else ""
        if self.name.removeprefix("bpf_") != _OVERRIDE or kind not in INJECTED:
            return ()
        says = f"The function's callers expect {INJECTED[kind]}; the kernel does not check the value."
        return (Finding("call.override_value", says, "sys/kernel/debug/error_injection/list"),)

    def _notes(self, one: Column, gpl_only: bool, may_sleep: bool) -> tuple[Finding, ...]:
        found = []
        if gpl_only:
            says = "The program's license must be compatible with the GPL: another is refused (EINVAL)."
            found.append(Finding("call.gpl_only", says, ""))
        if may_sleep and one.sleeps is None:
            found.append(Finding("call.sleepable_only", "It may sleep: only sleepable programs of the type may.", ""))
        return (*found, *self._may_override())

    def _program(self, one: Column) -> Program | None:
        """The program as the image's checks see it; None where lockdown is not told and matters."""
        image = self.calls.from_image()
        if image is None or one.program not in image.types:
            return None
        from ..formats.image.program import Program

        lockdown = self.k.lockdown()
        if lockdown is None:
            return None
        rights = self.calls.rights()
        kind = image.attach_types.get(one.attach, 0) if one.attach is not None else None
        where = self._place()
        return Program(image.types[one.program], kind, bool(one.sleeps), *where, rights=rights, lockdown=lockdown)

    def _place(self) -> tuple[int | None, str]:
        if self.target is None:
            return None, ""
        name = f"btf_trace_{self.target.name}" if self.target.kind == TRACEPOINT else self.target.name
        if self.target.kind == TRACEPOINT:
            return _ELSEWHERE, name
        found = located.btf_function(self.k, name, self.target.module)
        return (found[2].type_id if found is not None and found[0] is None else _ELSEWHERE), name

    # Verdicts.

    def verdict(self, one: Column) -> Verdict:
        """The call's, after what the place refuses for programs that are bound to it when they are loaded."""
        found = of_traits(self.k, self.kind, one.title, *self.judged(one))
        if self.target is None or one.title not in ATTACH_TYPES:
            return found
        place = verdicts.verdicts(self.k, self.target, verdicts.types_for(self.target, (one.title,)))[0]
        return _both(place, found) if program_of(one.title) and _binds(one.title) else _both(found, place)

    def instead(self, found: Sequence[Verdict]) -> tuple[Alternative, ...]:
        """Places and types that are accepted, for what was refused."""
        refused = {finding.rule.rpartition(".")[2] for one in found for finding in one.findings if one.answer == NO}
        if not refused & {"not_at_this_place", "not_for_type", "must_sleep"}:
            return ()
        places = self._other_places(found) if "not_at_this_place" in refused else []
        return tuple((places + self._other_types(found))[:_INSTEAD_MAX])

    def _other_places(self, found: Sequence[Verdict]) -> list[Alternative]:
        said = []
        for one in found:
            if any(finding.rule == "helper_call.not_at_this_place" for finding in one.findings):
                for name in self._allow_list()[:_INSTEAD_MAX]:
                    other = Question(self.k, self.calls, self.name, name, (one.attach,))
                    other._built, other._shown = self._built, self._shown  # of the kernel, whatever the place
                    if other.verdict(column(one.attach)).answer == YES:
                        said.append(Alternative(one.attach, name, YES, "the helper is allowed there"))
        return said

    def _other_types(self, found: Sequence[Verdict]) -> list[Alternative]:
        """Types by which the call is accepted: at the same place, or of any program."""
        asked = {one.attach for one in found}
        said = []
        titles = list(ATTACH_TYPES) if asked <= set(ATTACH_TYPES) else list(PROGRAM_TYPES)
        for title in titles:
            if title in asked or (title in ATTACH_TYPES and program_of(title) is None):
                continue
            kinds = ATTACH_TYPES[title].kinds.split() if title in ATTACH_TYPES else ()
            if title in ATTACH_TYPES and (self.target.kind if self.target is not None else FUNCTION) not in kinds:
                continue
            if self.verdict(column(title)).answer == YES:
                where = str(self.target) if self.target is not None else self.name
                said.append(Alternative(title, where, YES, "programs of this type may call it"))
                if len(said) == _INSTEAD_MAX:
                    break
        return said


def of_traits(
    k: Kernel,
    kind: str,
    title: str,
    traits: CallTraits,
    unread: Sequence[Unread] = (),
    notes: tuple[Finding, ...] = (),
    evidence: str = "",
) -> Verdict:
    """The verdict of a call by itself. `unread` says why facts of the traits are missing."""
    told = {gap.fact: gap for gap in unread}
    found = verdict_evidence.verdict(
        k, title, judge.judge(k, kind, traits), {facts.CALLS: evidence} if evidence else {}, notes
    )
    return found._replace(unread=tuple(told.get(gap.fact, gap) for gap in found.unread))


def report(k: Kernel, text: str, types: Sequence[str]) -> TargetReport:
    """The report of helper:NAME, kfunc:NAME or call:NAME, with @PLACE behind it. Raises UsageError."""
    word, _, rest = text.partition(":")
    name, _, place = rest.partition("@")
    if not name.isidentifier():
        raise UsageError(f"{text[:60]!r}: {name[:40]!r} is no name of a helper or kfunc")
    calls = Calls(k)
    question = Question(k, calls, name, place, types)
    if word == HELPER:
        question.kind = HELPER
    elif word == KFUNC:
        question.kind = KFUNC
    if question.kind == HELPER and not question.number and k.btf() is not None:
        absent = [Verdict(title, NO, "EINVAL", True, (_absent(),)) for title in types or PROGRAM_TYPES]
        return TargetReport(text, question.kind, None, tuple(absent), Coverage(), suggestions=_like(k, name))
    found = tuple(question.verdict(column(title)) for title in types or _known(k))
    alternatives = question.instead(found) if types else ()
    calls.keep()
    return TargetReport(
        text,
        question.kind,
        None,
        found,
        Coverage(),
        alternatives=alternatives,
        prototype=_prototype(k, question),
    )


def answer_of(traits: CallTraits) -> str:
    """The answer that the rules give for these traits, without their words."""
    if (
        traits.may_not_load
        or traits.no_program
        or traits.no_calls
        or traits.absent
        or traits.refused
        or traits.sleeps
        or traits.destructive
        or traits.not_bound
        or traits.no_perfmon
        or traits.walks_css
    ):
        return NO
    return UNKNOWN if traits.unread else YES


def _absent() -> Finding:
    from ..rules.call import HELPER as GATE

    rule = next(one for one in GATE.rules if one.id.endswith("unknown_helper"))
    return Finding(rule.id, rule.says, "sys/kernel/btf/vmlinux: enum bpf_func_id")


def _like(k: Kernel, name: str) -> tuple[str, ...]:
    import difflib

    btf = k.btf()
    names = [one.removeprefix("BPF_FUNC_") for one in btf.enumerators("bpf_func_id")] if btf is not None else []
    near = difflib.get_close_matches(name.removeprefix("bpf_"), names, 4, 0.6)
    return tuple(f"bpf_{one}" for one in near)


def _known(k: Kernel) -> tuple[str, ...]:
    """Program types of this kernel, in its order."""
    btf = k.btf()
    if btf is None:
        return PROGRAM_TYPES
    names = [name.removeprefix("BPF_PROG_TYPE_").lower() for name in btf.enumerators("bpf_prog_type")]
    return tuple(name for name in names if name != "unspec" and not name.startswith("__")) or PROGRAM_TYPES


def _prototype(k: Kernel, question: Question) -> str | None:
    if question.kind == HELPER:
        return None
    found = located.btf_function(k, question.name, None)
    if found is None:
        return None
    from ..formats.btf import signature

    return signature.prototype_line(question.name, signature.signature(found[1], found[2]))


def _binds(title: str) -> bool:
    """Programs of this type name their target when they are loaded, before their code is looked at."""
    return column(title).program in ("TRACING", "LSM", "EXT")


def _both(first: Verdict, second: Verdict) -> Verdict:
    """Two refusals in the kernel's order; the second cannot be told for certain where the first is unknown."""
    if first.answer == NO:
        return first._replace(attach=second.attach)
    if second.answer == NO:
        certain = second.errno_certain and first.answer == YES
        return second._replace(errno_certain=certain, unread=first.unread + second.unread)
    if UNKNOWN in (first.answer, second.answer):
        return second._replace(answer=UNKNOWN, unread=first.unread + second.unread, notes=())
    return second._replace(notes=tuple(dict.fromkeys(first.notes + second.notes)))


def _flag_names(flags: int) -> tuple[str, ...]:
    from ..formats.image.kfuncs import flag_names

    return flag_names(flags)


def _gap() -> CallTraits:
    return CallTraits(unread=frozenset((facts.CALLS,)))


def _untold(says: str, cure: str, _evidence: str) -> tuple[CallTraits, tuple[Unread, ...], tuple[Finding, ...], str]:
    return _gap(), (Unread(facts.CALLS, "not_there", says, cure),), (), ""
