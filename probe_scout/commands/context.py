"""`context TARGET [--type T]`: a card for each program type: what ctx is, what may be read, written, called, returned.

A target is a function, tracepoint or system call as for `check`, the name of a program type (`xdp`, `cgroup_skb`,
`syscall`), a section of libbpf (`tcx/ingress`), or `struct_ops:NAME`.
"""

from __future__ import annotations

from ..errors import UsageError
from ..formats.btf import signature
from ..kernel import located
from ..model import facts
from ..model.asked import PROGRAM_TYPES
from ..model.attach import ATTACH_TYPES, BY_FPROBE, BY_PERF, INJECTED, RETURNS
from ..model.context import ContextCard, ContextField, ContextReport
from ..model.stub import STUB_ATTACH
from ..model.target import FUNCTION, SYSCALL, TRACEPOINT, WORDS, Target
from ..probes import context_arguments, contexts
from ..probes.attach import function_traits, targets, verdicts
from ..probes.call_verdicts import Column, Question, answer_of, column
from ..probes.calls import Calls, attach_types
from ..rules import return_values, section_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..kernel.kernel import Kernel
    from ..model.facts import Unread
    from ..model.prototype import Prototype

OPS_WORD = "struct_ops"
_FUNCTION_TYPES = {"function": ("fentry", "fexit", "kprobe", "kretprobe"), "syscall": ("fentry", "ksyscall", "tp")}
_EVENT_TYPES = ("tp", "raw_tp", "tp_btf")
_REGISTERS = (*BY_PERF, *BY_FPROBE)


def report(k: Kernel, text: str, types: Sequence[str] = ()) -> ContextReport:
    """The cards of a target. Raises UsageError for what cannot be asked."""
    gap = k.unread(facts.BTF) if k.btf() is None else None
    head, colon, rest = text.partition(":")
    if head == OPS_WORD:
        from ..probes import struct_ops

        calls = Calls(k)
        found = struct_ops.structs(k, rest if colon else "*", calls.struct_ops())
        calls.keep()
        return ContextReport(k.info(), text, "struct_ops", None, (), found, (gap,) if gap is not None else ())
    if gap is not None:
        return ContextReport(k.info(), text, "program", None, (), (), (gap,))
    asker = _Asker(k)
    if text.lower() in PROGRAM_TYPES:
        cards = tuple(asker.program(one) for one in _columns(text.lower(), types))
        asker.calls.keep()
        return ContextReport(k.info(), text, "program", None, cards)
    row = section_names.of(text) if text.partition("/")[0] not in WORDS else None
    if row is not None and text not in ATTACH_TYPES:
        cards = (asker.program(Column(text, row.program, row.attach, row.sleepable)),)
        asker.calls.keep()
        return ContextReport(k.info(), text, "program", None, cards)
    return asker.places(text, types)


def _columns(program: str, types: Sequence[str]) -> list[Column]:
    """One for each expected attach type, where the kernel tells them apart, else one."""
    if types:
        return [column(one) for one in types]
    kinds = attach_types(program.upper())
    if len(kinds) > 1:
        return [
            Column(f"{program}/{kind.lower()}" if kind else program, program.upper(), kind, False) for kind in kinds
        ]
    return [column(program)]


class _Asker:
    """Makes cards. The image is opened once, what is equal of several cards is told once."""

    def __init__(self, k: Kernel) -> None:
        self.k, self.calls = k, Calls(k)
        self._kfuncs: int | None = None
        btf = k.btf()
        assert btf is not None
        self.numbers = {
            f"bpf_{name.removeprefix('BPF_FUNC_')}": number
            for name, number in btf.enumerators("bpf_func_id").items()
            if name.startswith("BPF_FUNC_") and number
        }

    # Program types by themselves.

    def program(self, one: Column) -> ContextCard:
        """The card of a program type without a place."""
        found = contexts.struct_of(self.k, one.program)
        image = self.calls.from_image()
        accesses = self.calls.accesses()
        unread: tuple[Unread, ...] = ()
        fields: tuple[ContextField, ...] = ()
        if found is not None and found[1]:
            program = None
            if image is not None and accesses is not None and one.program in image.types:
                from ..formats.image.program import Program

                kind = image.attach_types.get(one.attach, 0) if one.attach is not None else None
                program = Program(image.types[one.program], kind, bool(one.sleeps))
            else:
                unread = (contexts.no_image(self.k.arch()),)
            fields = contexts.fields(self.k, found[2], accesses, program)
        question = Question(self.k, self.calls, "", "", ())
        return self._card(
            one, None, None, f"struct {found[0]} *" if found is not None else _CTX.get(one.program, "void *"),
            found[1] if found is not None else None, fields, "", _may_return(one), question, unread,
            (_NOTES[one.program],) if one.program in _NOTES else (),
        )  # fmt: skip

    # Places.

    def places(self, text: str, types: Sequence[str]) -> ContextReport:
        """The cards of a function, an event or a system call."""
        target, meant, _ = targets.asked(self.k, text, types)
        if target.is_glob:
            raise UsageError(f"{text!r} is a pattern: context takes one name")
        chosen = tuple(types) or ((meant,) if meant else self._usual(target))
        verdicts.types_for(target, chosen)
        question = Question(self.k, self.calls, "", text, chosen)
        cards = tuple(self._place(target, column(one), question) for one in chosen)
        self.calls.keep()
        name = function_traits.wrapper(self.k, target.name) if target.kind == SYSCALL else target.name
        found = located.btf_function(self.k, name, target.module) if target.kind != TRACEPOINT else None
        line = signature.prototype_line(name, signature.signature(found[1], found[2])) if found is not None else None
        return ContextReport(self.k.info(), str(target), target.kind, line, cards)

    @staticmethod
    def _usual(target: Target) -> tuple[str, ...]:
        if target.kind == TRACEPOINT:
            return _EVENT_TYPES
        if target.kind == FUNCTION and target.name.startswith("bpf_lsm_"):
            return ("lsm",)
        if target.kind == FUNCTION and target.name.startswith("bpf_iter_"):
            return ("iter",)
        return _FUNCTION_TYPES.get(target.kind, ("kprobe",))

    def _place(self, target: Target, one: Column, question: Question) -> ContextCard:
        verdict = verdicts.verdicts(self.k, target, (one.title,))[0]
        base = one.title.removesuffix(".s")
        if target.kind == TRACEPOINT or base == "tp":
            ctx, size, fields, returns, notes = self._event(target, base)
        else:
            ctx, size, fields, returns, notes = self._function(target, base)
        card = self._card(
            one, verdict.answer, verdict.errno, ctx, size, fields, returns, self._may_return(target, one), question,
            verdict.unread, notes,
        )  # fmt: skip
        return card._replace(stub=_stub(str(target), base), section=f"{one.title}/{_in_section(target, base)}")

    def _event(
        self, target: Target, base: str
    ) -> tuple[str, int | None, tuple[ContextField, ...], str, tuple[str, ...]]:
        from ..probes.tracepoints import listing

        glob = f"{target.module}:{target.name}" if target.module else target.name
        if target.kind == SYSCALL:
            glob = f"syscalls:sys_enter_{target.name}"
        found = listing.reports(self.k, glob)[0]
        if not found:
            return "void *", None, (), "", ()
        event = found[0]
        if base == "tp":
            name = event.record.name if event.record is not None else ""
            fields = tuple(_event_field(one) for one in event.fields)
            return f"struct {name} *" if name else "void *", event.end_bytes, fields, "", ()
        arguments = context_arguments.raw(event.raw_args, base == "tp_btf", self.k)
        size = 8 * sum(max(1, (one.size + 7) // 8) for one in event.raw_args)
        ctx = "u64 *" if base == "tp_btf" else "struct bpf_raw_tracepoint_args *"
        return ctx, size, arguments, "", ()

    def _function(
        self, target: Target, base: str
    ) -> tuple[str, int | None, tuple[ContextField, ...], str, tuple[str, ...]]:
        name = function_traits.wrapper(self.k, target.name) if target.kind == SYSCALL else target.name
        found = located.btf_function(self.k, name, target.module)
        if found is None:
            return ("struct pt_regs *" if base in _REGISTERS else "u64 *"), None, (), "", ("its types are not in BTF",)
        _, btf, func = found
        proto = btf.prototype(func)
        if base in _REGISTERS:
            regs = btf.struct_size("pt_regs") if self.k.btf() is btf else self.k.btf().struct_size("pt_regs")  # type: ignore[union-attr]
            fields = context_arguments.registers(self.k, btf, func, base in RETURNS)
            return "struct pt_regs *", regs, fields, _returns(proto, base), ()
        sees = base in RETURNS or base in ("fmod_ret", "lsm")
        registered = self.calls.iterator(name.removeprefix("bpf_iter_")) if base == "iter" else None
        fields = context_arguments.typed(self.k, btf, func, base, sees, registered)
        ctx = f"struct bpf_iter__{name.removeprefix('bpf_iter_')} *" if base == "iter" else "u64 *"
        return ctx, _words_bytes(fields), fields, _returns(proto, base), ()

    def _may_return(self, target: Target, one: Column) -> tuple[str, str]:
        base = one.title.removesuffix(".s")
        if base in ("fmod_ret", "kprobe"):
            kind = self.k.injectable().get(target.name, "")
            if kind:
                what = INJECTED.get(kind, kind)
                how = "the program's result replaces it" if base == "fmod_ret" else "by bpf_override_return"
                says = f"{what}: {how} (error injection; the kernel does not check the value)"
                return says, "sys/kernel/debug/error_injection/list"
        return _may_return(one)

    # What may be called.

    def _card(
        self,
        one: Column,
        answer: str | None,
        errno: str | None,
        ctx: str,
        size: int | None,
        fields: tuple[ContextField, ...],
        returns: str,
        may_return: tuple[str, str],
        question: Question,
        unread: tuple[Unread, ...],
        notes: tuple[str, ...],
    ) -> ContextCard:
        helpers, unknown = self._may_call(question, one, self.numbers.items())
        image = self.calls.kfuncs()
        names = ((name, 0) for name in sorted(image.ids)) if image is not None else ()
        kfuncs, untold = self._may_call(question, one, names)
        untold += self._recorded_kfuncs() if image is None else 0
        return ContextCard(
            one.title, one.program.lower(), (one.attach or "").lower(), f"{one.title}", bool(one.sleeps), answer, errno,
            ctx, size, fields, returns, may_return[0], helpers, unknown, kfuncs, untold, self.calls.basis(), "",
            notes, unread, may_return[1],
        )  # fmt: skip

    def _recorded_kfuncs(self) -> int:
        """How many kfuncs kallsyms shows; which programs may call them is code."""
        if self._kfuncs is None:
            ids = self.k.ids()
            self._kfuncs = len({name for title in ids.flagged for name in ids.sets[title]})
        return self._kfuncs

    @staticmethod
    def _may_call(question: Question, one: Column, names: object) -> tuple[tuple[str, ...], int]:
        said, unknown = [], 0
        for name, number in names:  # type: ignore[attr-defined]
            answer = answer_of(question.named(name, number).judged(one)[0])
            unknown += answer == "unknown"
            if answer == "yes":
                said.append(name)
        return tuple(said), unknown


def _may_return(one: Column) -> tuple[str, str]:
    """What the program's return value means, and where the kernel's source says so."""
    found = return_values.of(one.program, one.attach)
    if found is None:
        return "", ""
    return found.says + ("; the verifier refuses others" if found.is_enforced else ""), found.source


def _words_bytes(fields: tuple[ContextField, ...]) -> int:
    """Where the last argument ends."""
    last = fields[-1] if fields else None
    return (last.offset or 0) + 8 * max(1, ((last.size or 0) + 7) // 8) if last is not None else 0


def _event_field(one: object) -> ContextField:
    from ..model.trace import EventField

    assert isinstance(one, EventField)
    read = {"unreadable": "no", "absent": "no"}.get(one.access, "yes")
    return ContextField(
        one.name, one.type, one.offset, one.size, None, read, "no", read_with=one.read_with or "", says=one.says
    )


def _returns(proto: Prototype, base: str) -> str:
    if base in ("iter", "lsm_cgroup"):
        return ""
    where = {
        "fexit": "in the 8 bytes behind the last argument",
        "fmod_ret": "in the 8 bytes behind the last argument: what earlier programs returned",
        "lsm": "in the 8 bytes behind the last argument: what earlier programs returned",
        "fsession": "at the return, in the 8 bytes behind the last argument",
        "kretprobe": "PT_REGS_RC(ctx)",
        "kretprobe.multi": "PT_REGS_RC(ctx)",
        "kprobe.session": "at the return, PT_REGS_RC(ctx)",
        "kretsyscall": "PT_REGS_RC(ctx)",
    }.get(base, "not seen: the function has not run yet")
    return f"{proto.return_type}: {where}" if proto.return_type != "void" else "void"


def _in_section(target: Target, base: str) -> str:
    """What libbpf wants behind the slash: tp has the category, lsm and iter are without the prefix of the function."""
    if base == "tp" and target.module:
        return f"{target.module}/{target.name}"
    if base == "tp" and target.kind == SYSCALL:
        return f"syscalls/sys_enter_{target.name}"
    return target.name.removeprefix({"lsm": "bpf_lsm_", "lsm_cgroup": "bpf_lsm_", "iter": "bpf_iter_"}.get(base, ""))


def _stub(target: str, base: str) -> str:
    if base not in STUB_ATTACH:
        return ""
    return f"probe-scout stub {target.removeprefix('tp:') if base == 'tp' else target} --attach {base} --program"


_CTX = {"TRACEPOINT": "the event's record", "TRACING": "u64 *", "LSM": "u64 *", "SYSCALL": "memory of the caller"}
_NOTES = {
    "SYSCALL": "ctx is what the caller hands to BPF_PROG_TEST_RUN: up to 64 KiB, read and written freely.",
    "EXT": "ctx is that of the program that is replaced.",
    "STRUCT_OPS": "ctx is the arguments of the member: context struct_ops:NAME tells.",
    "TRACING": "ctx is the arguments of what it attaches to: ask for a function, an event or an iterator.",
    "LSM": "ctx is the arguments of the hook: ask for lsm/HOOK.",
}


def lines(report: ContextReport) -> Iterator[ContextCard]:
    """The cards, for formats of one line each."""
    yield from report.cards


def code_of(report: ContextReport) -> int:
    """Exit code: 1 where a program is refused at the place, or nothing is there; 3 where something is not told."""
    answers = {card.answer for card in report.cards if card.answer is not None}
    if "no" in answers or (not report.cards and not report.struct_ops and not report.unread):
        return 1
    return 3 if report.unread or "unknown" in answers or any(card.unread for card in report.cards) else 0
