"""`stub`: from names to source text. Finds events and functions, asks for their verdicts, hands types to stubs/."""

from __future__ import annotations

from ...errors import Malformed, NoStub, SourceError, UsageError
from ...model import facts
from ...model.attach import BY_EVENT
from ...model.stub import STUB_LIKE, STUB_NOT, STUB_USER, Argument, PlainType, RecordMember, Stub, StubReport
from ...model.target import EVENT_WORDS, FUNCTION, SYSCALL, SYSCALL_WORDS, WORDS, Target, bare_section, parse, split
from ...model.verdict import NO, UNKNOWN, Verdict
from ...probes.attach import function_traits, targets, verdicts
from ...probes.tracepoints import listing as events
from . import arguments as places
from . import layout, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...formats.btf.kinds import Func
    from ...formats.btf.reader import Btf
    from ...kernel.kernel import Kernel
    from ...model.trace import EventReport
    from ...probes.tracepoints.raw_arguments import TraceTypes

_FUNC_ARG = "BPF_FUNC_get_func_arg"  # enum bpf_func_id, include/uapi/linux/bpf.h


def report(
    k: Kernel,
    names: Sequence[str],
    lang: str = "c",
    attach: str = "",
    core: bool = False,
    program: bool = False,
    package: str = "",
    type_name: str = "",
    debug: str = "",
) -> StubReport:
    """The stubs of these events or functions as one text.

    A name with * or ? stands for every event that matches; those that take no such program are skipped and named.
    `package` and `type_name` are for Go: of the file, and of the one stub's struct.
    Raises UsageError for a question that makes no sense, NoStub where no stub can be right.
    """
    notes: list[str] = []
    if any(":" in name or "/" in name for name in names):
        from . import user

        if any(asked := [user.is_asked(k, name) for name in names]):
            if not all(asked):
                raise UsageError(f"{' '.join(names)}: ask for those of the kernel apart")
            return _of_users(k, names, lang, attach, core, program, package, type_name, debug)
    if attach in STUB_USER:
        raise UsageError(f"{names[0]} is no user function: --attach {attach} takes /PATH:SYMBOL or usdt:/PATH:...")
    names, attach = _meant(k, names, lang, attach, notes)
    attach = attach or _default(k, names)
    _agree(lang, attach, core, program)
    _go_names(lang, package, type_name)
    stubs: dict[str, Stub] = {}
    skipped: list[str] = []
    codes: list[int] = []
    for name in names:
        for stub in _stubs(k, name, attach, core, skipped, codes, notes):
            stubs.setdefault(stub.title, stub)
    if not stubs:
        raise NoStub(f"no event that matches {' '.join(names)} takes a {attach} program: {skipped[0]}")
    found = tuple(stubs.values())
    from ...probes.attach import closed_helpers, limits

    if limits.kernel_reads_locked(k):
        notes.append(closed_helpers.NOTE)
    if type_name and len(found) > 1:
        raise UsageError(f"--name {type_name} is the name of one struct, and these are {len(found)}")
    whole = text(found, lang, provenance(k), core, program, package, type_name)
    return StubReport(k.info(), lang, whole, found, tuple(skipped), tuple(notes), codes.count(3))


def _of_users(
    k: Kernel,
    names: Sequence[str],
    lang: str,
    attach: str,
    core: bool,
    program: bool,
    package: str,
    type_name: str,
    debug: str,
) -> StubReport:
    """The stubs of functions and USDT probes of programs and libraries."""
    from . import user, user_libbpf

    if core:
        raise UsageError("--core is for events: a program's structures have no relocations of the kernel")
    if attach and attach not in STUB_USER:
        raise UsageError(f"{names[0]} takes --attach {' '.join(STUB_USER)}")
    if program and lang not in ("c", "bpftrace"):
        raise UsageError(f"--program is for c (and bpftrace, which is always whole): {lang} has types alone")
    _go_names(lang, package, type_name)
    notes: list[str] = []
    made = user.stubs(k, names, attach, notes, debug)
    unique = words.Unique()
    found = tuple(stub._replace(title=unique(stub.title)) for stub in made)
    if type_name and len(found) > 1:
        raise UsageError(f"--name {type_name} is the name of one struct, and these are {len(found)}")
    if program and lang == "c" and any(stub.attach == "usdt" for stub in found):
        raise UsageError("--program needs no header, and USDT is libbpf's own: leave --program out")
    origin = (
        "Made by probe-scout stub of a program's debug information and notes.",
        "Generate it again for another build.",
    )
    if lang == "c" and not program:
        whole = user_libbpf.write(found, origin)
    else:
        whole = text(found, lang, origin, False, program, package, type_name)
    return StubReport(k.info(), lang, whole, found, (), tuple(notes), 0)


def _go_names(lang: str, package: str, type_name: str) -> None:
    """Raises UsageError for a name that Go would not take, or for another language than Go."""
    for option, value in (("--package", package), ("--name", type_name)):
        if value and lang != "go":
            raise UsageError(f"{option} is for --lang go: {lang} has no such name")
        if value and not words.is_go_name(value):
            raise UsageError(f"{option} {value!r} is no name in Go")


def text(
    stubs: Sequence[Stub],
    lang: str,
    origin: Sequence[str],
    core: bool = False,
    program: bool = False,
    package: str = "",
    type_name: str = "",
) -> str:
    """The source text of stubs in one language."""
    if lang == "c" and program:
        from . import program as whole

        return whole.write(stubs, origin, core)
    if lang == "c" and core:
        from . import core_relocatable

        return core_relocatable.write(stubs, origin)
    if lang == "c":
        from . import c_struct

        return c_struct.write(stubs, origin)
    if lang == "rust":
        from . import rust

        return rust.write(stubs, origin)
    if lang == "go":
        from . import go

        return go.write(stubs, origin, package or "events", type_name)
    if lang == "python":
        from . import python_ctypes

        return python_ctypes.write(stubs, origin)
    from . import bpftrace

    return bpftrace.write(stubs, origin)


def provenance(k: Kernel) -> tuple[str, ...]:
    """Where a stub is from. The same for every run on the same kernel."""
    info = k.info()
    return (
        f"Made by probe-scout stub for Linux {info.release or 'of unknown release'} ({info.arch}),",
        f"build-id {info.build_id or 'unknown'}.",
        "Layouts differ between kernels: generate it again for another kernel.",
    )


def _agree(lang: str, attach: str, core: bool, program: bool) -> None:
    """Raises UsageError for options that do not go together."""
    if core and (lang != "c" or attach != "tp"):
        raise UsageError("--core is for C and tp: no other stub has a struct to relocate")
    if program and lang not in ("c", "bpftrace"):
        raise UsageError(f"--program is for c (and bpftrace, which is always whole): {lang} has types alone")
    if lang == "bpftrace" and attach == "ksyscall":
        raise UsageError("bpftrace has no ksyscall: use --attach tp with syscalls:sys_enter_NAME")


def _meant(k: Kernel, names: Sequence[str], lang: str, attach: str, notes: list[str]) -> tuple[tuple[str, ...], str]:
    """The names without the words before them, and the attach type that is asked for or that these words ask for.

    Raises UsageError where they ask for several, or for one that has no stub.
    """
    found: list[str] = []
    asked: dict[str, None] = {}
    for name in names:
        word, rest = split(bare_section(name))
        if not word:
            found.append(name)
            continue
        if word in SYSCALL_WORDS:
            wanted = WORDS[word] or ("tp" if lang == "bpftrace" else "ksyscall")
            found.append(f"syscalls:sys_enter_{rest}" if (attach or wanted) == "tp" else f"syscall:{rest}")
        elif word in EVENT_WORDS:
            wanted = WORDS[word] or "tp"
            found.append(name)
        else:
            wanted = WORDS[word]
            found.append(str(targets.asked(k, name).target))
        asked[wanted] = None
    if attach:
        return tuple(found), attach
    if len(asked) > 1:
        raise UsageError(f"{' '.join(names)} ask for {' and '.join(asked)}: one stub file holds one kind, say --attach")
    attach = next(iter(asked), "")
    if attach in STUB_NOT:
        raise UsageError(f"there is no stub of {attach}: {STUB_NOT[attach]}")
    if attach in STUB_LIKE:
        other, says = STUB_LIKE[attach]
        notes.append(f"the stub of {other} stands for {attach}: {says}")
        attach = other
    return tuple(found), attach


def _default(k: Kernel, names: Sequence[str]) -> str:
    """tp, but fentry for what is a function and no event."""
    for name in names:
        if set(name) & set("*?[") or ":" in name or "/" in name:
            return "tp"
        if k.events_named(name):
            return "tp"
    return "fentry" if all(k.has_function(name) for name in names) else "tp"


def _stubs(
    k: Kernel, name: str, attach: str, core: bool, skipped: list[str], codes: list[int], notes: list[str]
) -> list[Stub]:
    if attach not in BY_EVENT:
        return [_function(k, name, attach, notes)]
    from ...probes.tracepoints.raw_arguments import TraceTypes

    types = TraceTypes(k)
    is_glob = bool(set(name) & set("*?["))
    found = _events(k, name, attach)
    if is_glob and len(found) > 1:
        types.load_all()
        k.read_many([f"{events.EVENTS}/{c}/{n}/format" for c, n in found if c])
    made = []
    for category, event in found:
        try:
            made.append(_event(k, category, event, attach, core, types, notes))
        except NoStub as error:
            if not is_glob:
                raise
            skipped.append(str(error))
            codes.append(error.exit_code)
        except (
            SourceError,
            Malformed,
        ) as error:  # such as a format file that is cut off; the others are none the worse
            if not is_glob:
                raise
            skipped.append(f"{category}:{event}: {error}")
            codes.append(3)
    return made


def _events(k: Kernel, name: str, attach: str) -> tuple[tuple[str, str], ...]:
    """The events a name means: one, or those a pattern matches. Raises NoStub with what is similar."""
    name = events.bare_name(name)
    if not name or not name.isprintable() or " " in name:
        raise UsageError(f"{name[:40]!r} is no event: give CATEGORY:EVENT, such as sched:sched_switch")
    found = events.matching(k, name)
    if not found:
        gap = k.known_unread(facts.EVENTS)
        if gap is not None:
            error = NoStub(f"{name}: the events of this kernel cannot be listed ({gap.why})", 3)
            error.unread = (gap,)
            raise error
        if (cut := k.partial_gap(facts.EVENTS)) is not None:
            raise NoStub(f"{name}: {cut.why}{_similar(k, name)}", 3)
        raise NoStub(f"no event {name}{_similar(k, name)}")
    if len(found) > 1 and not set(name) & set("*?["):
        if attach != "tp":  # one raw tracepoint, whatever categories have an event of its name
            return found[:1]
        raise UsageError(f"{name} is {len(found)} events: say {' or '.join(f'{c}:{n}' for c, n in found)}")
    return found


def _similar(k: Kernel, name: str) -> str:
    import difflib

    listed = [f"{c}:{n}" for c, n in events.listed(k)]
    tail = name.rpartition(":")[2]
    near = [event for event in listed if event == f"syscalls:sys_enter_{tail}"]  # stub openat
    near += [event for event in listed if event.rpartition(":")[2].lower() == tail.lower()]
    near = near or difflib.get_close_matches(name, listed, 3, 0.7)
    near = near or [event for event in listed if tail and tail in event][:3]
    if near:
        return f"; did you mean {' or '.join(near[:3])}"
    return f"; {name} is a function: add --attach fentry" if k.has_function(name) else ""


def _judged(verdict: Verdict, what: str, attach: str, notes: list[str], instead: str = "") -> None:
    """Raises NoStub where the kernel refuses; an answer that cannot be told becomes a note."""
    if verdict.answer == NO:
        why = verdict.findings[0].says.rstrip(".") if verdict.findings else "the kernel refuses"
        errno = f" ({verdict.errno})" if verdict.errno else ""
        raise NoStub(f"{what} takes no {attach} program{errno}: {_lowered(why)}{instead}")
    if verdict.answer == UNKNOWN:
        unread = f" ({verdict.unread[0].why})" if verdict.unread else ""
        notes.append(f"whether {what} takes a {attach} program is unknown{unread}")


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() or sentence[1:2] == " " else sentence


def _event(k: Kernel, category: str, event: str, attach: str, core: bool, types: TraceTypes, notes: list[str]) -> Stub:
    target = f"{category}:{event}" if category else event
    verdict = verdicts.event_verdicts(k, category or None, event, (attach,))[0]
    _judged(verdict, target, attach, notes, _instead(k, category, event, attach) if verdict.answer == NO else "")
    if attach != "tp":
        return _raw(k, category, event, attach, types)
    if not category:
        raise NoStub(f"{event} is a raw tracepoint without an event: use --attach raw_tp or tp_btf")
    unread: list[facts.Unread] = []
    # A system call's events share one BTF struct, which is not what programs get.
    told = events.report(k, category, event, False, types if core or category != "syscalls" else None, (), unread)
    if not told.fields:
        why = unread[0].why if unread else "its format has no fields"
        raise NoStub(f"{target}: {why}", 3 if unread else 1)
    return layout.record(told, *_core(k, told, core))


def _instead(k: Kernel, category: str, event: str, attach: str) -> str:
    """What takes a program instead; "" if nothing does."""
    others = {"tp": ("raw_tp", "tp_btf"), "raw_tp": ("tp",), "tp_btf": ("raw_tp", "tp")}[attach]
    for other in others:
        if verdicts.event_verdicts(k, category or None, event, (other,))[0].answer == "yes":
            return f"; instead: --attach {other}"
    return ""


def _core(k: Kernel, told: EventReport, asked: bool) -> tuple[str, tuple[RecordMember, ...]]:
    """Name and members of the event's BTF struct; nothing where it is not known or does not agree."""
    record = told.record
    if record is None or record.differs:
        if asked and record is not None and record.basis == "syscall":
            raise NoStub(
                f"{told.event}: programs get a private record, not the {record.name} of BTF ({record.differs[0]}): "
                "leave out --core, then the stub has the layout of this kernel's private record"
            )
        if asked:
            why = f"{record.name} and the format differ ({record.differs[0]})" if record else "BTF has no struct of it"
            raise NoStub(f"{told.event}: no CO-RE stub, since {why}: leave out --core", 3 if k.btf() is None else 1)
        return "", ()
    btf = k.btf(None if record.btf == "vmlinux" else record.btf)
    if btf is None:
        return "", ()
    from ...formats.btf import plain as btf_plain

    return record.name, btf_plain.members(btf, record.type_id)


def _raw(k: Kernel, category: str, event: str, attach: str, types: TraceTypes) -> Stub:
    if k.btf() is None:
        raise NoStub(f"{event}: this kernel's BTF, which has the arguments, cannot be read", 3)
    prototype = types.prototype(event)
    if prototype is None:
        raise NoStub(f"{event}: BTF has no btf_trace_{event}, so its arguments are not known; use --attach tp")
    from ...formats.btf import plain as btf_plain

    _, btf, _ = prototype
    found = []
    unique = _Once()
    for one in types.arguments(event):
        assert one.type_id is not None
        plain = btf_plain.plain(btf, one.type_id)
        slots = max(1, (one.size + 7) // 8)
        name = unique(one.name or f"arg{one.place}")
        found.append(Argument(name, plain, one.slot, slots, one.nullable, one.access == "value"))
    return places.raw(event, attach, found, f"{category}:{event}" if category else "")


class _Once(dict[str, int]):
    def __call__(self, name: str) -> str:
        self[name] = self.get(name, 0) + 1
        return name if self[name] == 1 else f"{name}_{self[name]}"


# Functions.


def _function(k: Kernel, name: str, attach: str, notes: list[str]) -> Stub:
    target = parse(name)
    if attach == "ksyscall":
        call = target.name if target.kind == SYSCALL else _call_of(k, target)
        return _system_call(k, call, notes)
    if target.kind != FUNCTION or set(name) & set("*?["):
        raise UsageError(f"{name} is not a function: --attach {attach} takes vfs_read or MODULE:FUNCTION")
    verdict = verdicts.verdicts(k, target, (attach,))[0]
    what = str(target)
    if not _exists(k, target):
        if (cut := k.partial_gap(facts.KALLSYMS)) is not None:
            raise NoStub(f"{what}: {cut.why}{_near(k, target)}", 3)
        raise NoStub(f"no function {what}{_near(k, target)}")
    _judged(verdict, what, attach, notes, _other(k, target, attach) if verdict.answer == NO else "")
    found = _prototype(k, target)
    if found is None:
        if k.btf() is None:
            raise NoStub(f"{what}: this kernel's BTF, which has the arguments, cannot be read", 3)
        if attach in ("kprobe", "kretprobe"):
            return _untyped(target.name, attach, _arch(k))
        raise NoStub(f"{what}: BTF has no types of it, so its arguments are not known; --attach kprobe has registers")
    module, btf, func = found
    from ...formats.btf import plain as btf_plain

    args, returns, variadic = btf_plain.arguments(btf, func.proto_id)
    args = tuple(
        one._replace(name=title) for one, title in zip(args, map(_Once(), (a.name for a in args)), strict=True)
    )
    declaration = btf.prototype(func).text
    if attach in ("fentry", "fexit"):
        return places.traced(target.name, attach, module, args, returns, declaration, bool(btf_has(k.btf(), _FUNC_ARG)))
    said = ["More arguments follow that no type tells (variadic)."] if variadic else []
    return places.probed(
        target.name, attach, _arch(k), args, returns, declaration, f"{attach}/{target.name}", notes=said
    )


def _untyped(name: str, attach: str, arch: str) -> Stub:
    """Registers alone, of a function that BTF does not describe."""
    first = ", ".join(places.REGISTERS_OF[arch].call)
    said = f"BTF has no types of it; integers and pointers are passed in {first}, if the compiler left them there."
    word = PlainType("int", 8, False, "8 bytes of unknown type")
    section = f"{attach}/{name}"
    return places.probed(name, attach, arch, (), word, "", section, notes=() if attach == "kretprobe" else (said,))


def btf_has(btf: Btf | None, name: str) -> bool:
    """BTF has a record, member or value of this name."""
    return btf is not None and btf.has_name(name)


def _exists(k: Kernel, target: Target) -> bool:
    view = k.view((target.name.encode(),))
    return view is None or bool(view.symbols.rows(target.name.encode())) or _prototype(k, target) is not None


def _near(k: Kernel, target: Target) -> str:
    if k.events_named(target.name):
        return f"; {target.name} is an event: use --attach tp"
    from ...probes.explain import spelling
    from ...probes.explain.kernel_lookup import KernelLookup

    near = spelling.suggest(KernelLookup(k, lambda other, attach: verdicts.answer(k, other, attach)), target)
    return f"; did you mean {' or '.join(near[:3])}" if near else f"; probe-scout check {target} says what is instead"


def _other(k: Kernel, target: Target, attach: str) -> str:
    """The first way to attach that answers yes and has a stub."""
    types = _prototype(k, target)
    for other in ("fentry", "fexit", "kprobe", "kretprobe") if types is not None else ("kprobe", "kretprobe"):
        if other != attach and verdicts.verdicts(k, target, (other,))[0].answer == "yes":
            return f"; instead: --attach {other}"
    return ""


def _prototype(k: Kernel, target: Target) -> tuple[str | None, Btf, Func] | None:
    """The function's FUNC: of the module that was named, else of vmlinux, else of the first module that has it."""
    if target.module:
        owners: tuple[str | None, ...] = (None if target.module == "vmlinux" else target.module,)
    else:
        owners = (None, *k.modules_with(target.name))
    for owner in owners:
        btf = k.btf(owner)
        found = btf.find_functions(target.name) if btf is not None else ()
        if btf is not None and found:
            return owner, btf, found[0]
    return None


def _arch(k: Kernel) -> str:
    arch = k.arch()
    if arch not in places.REGISTERS_OF:
        raise NoStub(f"registers of {arch} are not known here: use fentry, or --lang bpftrace", 3)
    return arch


def _call_of(k: Kernel, target: Target) -> str:
    """The system call a name means: openat, sys_openat, __x64_sys_openat."""
    name = target.name
    for head in (f"{k.syscall_prefix()}sys_", "__do_sys_", "__se_sys_", "sys_"):
        name = name.removeprefix(head)
    return name


def _system_call(k: Kernel, call: str, notes: list[str]) -> Stub:
    wrapper = function_traits.wrapper(k, call)
    if not k.has_function(wrapper):
        if (gap := k.partial_gap(facts.KALLSYMS) or k.unread(facts.KALLSYMS)) is not None:
            raise NoStub(f"syscall:{call}: {gap.why}{_near_call(k, call)}", 3)
        raise NoStub(f"no system call {call}: this kernel has no {wrapper}{_near_call(k, call)}")
    _judged(verdicts.verdicts(k, Target(SYSCALL, call), ("ksyscall",))[0], f"syscall:{call}", "ksyscall", notes)
    args = _call_arguments(k, call)
    if args is None:
        raise NoStub(f"syscall:{call}: neither syscalls:sys_enter_{call} nor BTF tells its arguments")
    text = f"{call}({', '.join(f'{one.type.text} {one.name}' for one in args)})"
    return places.probed(
        call,
        "ksyscall",
        _arch(k),
        args,
        None,
        text,
        f"ksyscall/{call}",
        inner=wrapper.startswith(k.syscall_prefix()),
        notes=("Pointers are user memory: bpf_probe_read_user, bpf_probe_read_user_str.",),
    )


def _near_call(k: Kernel, call: str) -> str:
    import difflib

    head = f"{k.syscall_prefix()}sys_"
    known = [name.decode("utf-8", "replace") for name in k.names_with(head.encode())]
    near = difflib.get_close_matches(call, sorted(known), 3, 0.6)
    return f"; did you mean {' or '.join(near)}" if near else ""


_COPIED = ("data_loc", "rel_loc")  # what an argument leads to, behind the record: no argument of its own


def _call_arguments(k: Kernel, call: str) -> tuple[Argument, ...] | None:
    """Arguments as the call's event declares them, whose types are the source's; else as BTF types __do_sys_<call>."""
    try:
        told = events.report(k, "syscalls", f"sys_enter_{call}", False)
        fields = [f for f in told.fields if not f.common and f.name != "__syscall_nr" and f.kind not in _COPIED]
        if told.fields:
            return tuple(Argument(field.name, _declared(field.type), place, 1) for place, field in enumerate(fields))
    except SourceError:
        pass
    found = _prototype(k, Target(FUNCTION, f"__do_sys_{call}"))
    if found is None:
        return None
    from ...formats.btf import plain as btf_plain

    _, btf, func = found
    return btf_plain.arguments(btf, func.proto_id)[0]


_SIZES = {"char": 1, "short": 2, "int": 4, "pid_t": 4, "uid_t": 4, "gid_t": 4, "umode_t": 2, "long": 8}


def _declared(declared: str) -> PlainType:
    """A system call's parameter by its C type. What has no size of its own here is a whole register."""
    text = declared.replace("const ", "").strip()
    if text.endswith("*"):
        base = text.rstrip("* ")
        single = text.count("*") == 1
        struct = base if base.startswith(("struct ", "union ")) and single else ""
        target = "char" if base == "char" and single else struct or "void"
        return PlainType("pointer", 8, False, declared, target, struct, True)
    unsigned = text.startswith("unsigned") or text in ("uid_t", "gid_t", "umode_t")
    size = _SIZES.get(text.removeprefix("unsigned ").strip(), 4 if text in ("unsigned", "u32", "__u32") else 8)
    return PlainType("int", size, not unsigned and size < 8, declared)
