"""`kfunc [NAME|GLOB]`: the kfuncs of a kernel, with prototype, flags, and the program types that may call them.

A kfunc is a function in a set with flags (BTF_KFUNCS_START), which newer kernels mark in their types as well (decl tag
`bpf_kfunc`, pahole 1.26). Flags and program types are in the kernel's image.
"""

from __future__ import annotations

import fnmatch

from ..errors import UsageError
from ..formats.btf import signature
from ..kernel import located
from ..model import facts
from ..model.calls import KfuncReport, KfuncRow
from ..model.facts import Unread
from ..model.verdict import NO
from ..named_tuple import NamedTuple
from ..probes.calls import Calls, Told, attach_types, program_of
from ..rules import kfunc_sets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..formats.btf.reader import Btf
    from ..kernel.kernel import Kernel

_TAG = "bpf_kfunc"
_WHOLE = "record a whole one"


def report(k: Kernel, glob: str = "*", types: Sequence[str] = ()) -> KfuncReport:
    """Kfuncs whose names match. `types`: attach types; without, every program type. Raises UsageError."""
    btf = k.btf()
    if btf is None:
        unread = k.unread(facts.BTF)
        return KfuncReport(k.info(), (), (), (unread,) if unread is not None else ())
    asked = _asked(btf, types)
    calls = Calls(k)
    rows = [_row(calls, btf, name, None, asked) for name in sorted(_names(calls, btf)) if _fits(name, glob)]
    is_name = not set("*?[") & set(glob)
    for module in k.btf_modules():
        own = k.btf(module)
        if own is not None and (not is_name or own.has_name(glob)):
            names = _of_module(calls, own, module)
            rows += [_row(calls, own, name, module, asked) for name in sorted(names) if _fits(name, glob)]
    if not rows and is_name:
        # A function that is in no set: the kernel still has an answer.
        found = located.btf_function(k, glob, None)
        rows = [_row(calls, found[1], glob, found[0], asked)] if found is not None else []
    calls.keep()
    hidden = not rows and not calls.k.ids().visible and calls.kfuncs() is None
    unread = k.unread(facts.BTF_IDS) if hidden else None
    if not rows and not unread and k.partial():
        unread = Unread(facts.CALLS, "not_there", "a partial snapshot does not have every function", _WHOLE)
    return KfuncReport(k.info(), tuple(column.title for column in asked), tuple(rows), (unread,) if unread else ())


class Column(NamedTuple):
    """A program type, or an attach type that was asked for; `sleeps` is None where that is not said."""

    title: str
    program: str
    attach: str | None
    sleeps: bool | None


def _asked(btf: Btf, types: Sequence[str]) -> list[Column]:
    if not types:
        names = [name for name in btf.enumerators("bpf_prog_type") if name.startswith("BPF_PROG_TYPE_")]
        plain = [name.removeprefix("BPF_PROG_TYPE_") for name in names]
        return [Column(name.lower(), name, _only(name), None) for name in plain if name != "UNSPEC"]
    found: list[Column] = []
    for type_ in types:
        row = program_of(type_)
        if row is None:
            raise UsageError(f"--type {type_}: its programs have no type of their own")
        found.append(Column(type_, *row))
    return found


def _only(program: str) -> str | None:
    """The attach type of a program type that has no choice."""
    kinds = attach_types(program)
    return kinds[0] if len(kinds) == 1 else None


def _names(calls: Calls, btf: Btf) -> set[str]:
    """Kfuncs of vmlinux: by the image, by decl tags, by the sets in kallsyms that vmlinux has a function for."""
    image = calls.kfuncs()
    if image is not None:
        return set(image.ids)
    tagged = btf.decl_tags(_TAG)
    if tagged:
        return tagged
    ids = calls.k.ids()
    members = {name for title in ids.flagged for name in ids.sets[title]}
    return {name for name in members if btf.find_functions(name)}


def _of_module(calls: Calls, own: Btf, module: str) -> set[str]:
    """Kfuncs of a module: by decl tags, else by the sets in kallsyms that the module has a function for.

    What its file says is asked for each of them, and opens no file of a module that has none.
    """
    tagged = own.decl_tags(_TAG)
    if tagged:
        return tagged
    ids = calls.k.ids()
    members = {name for title in ids.flagged for name in ids.sets[title] if own.has_name(name)}
    return {name for name in members if own.find_functions(name)}


def _fits(name: str, glob: str) -> bool:
    return fnmatch.fnmatchcase(name, glob)


def _row(calls: Calls, btf: Btf, name: str, module: str | None, asked: list[Column]) -> KfuncRow:
    told = {one.title: calls.kfunc(name, one.program, one.attach, module, one.sleeps) for one in asked}
    functions = btf.find_functions(name)
    line = signature.prototype_line(name, signature.signature(btf, functions[0])) if functions else name
    first = next(iter(told.values()), Told("unknown", "", ""))
    assumed = next((one for one in told.values() if calls.is_recorded(one)), None)
    single = first if len(told) == 1 or len({one.says for one in told.values()}) == 1 else None
    return KfuncRow(
        name,
        module,
        line,
        _flags(calls, name, module),
        {title: one.answer for title, one in told.items()},
        "EACCES" if any(one.answer == NO for one in told.values()) else None,
        single.says if single is not None else f"assumed that {kfunc_sets.ASSUMED}" if assumed is not None else "",
        (assumed or first).evidence,
    )


def _flags(calls: Calls, name: str, module: str | None) -> tuple[str, ...] | None:
    image = calls.module(module).permissions if module else calls.kfuncs()
    if image is None or (image.kfuncs.gave_up and name not in image.flags):
        return None
    from ..formats.image.kfuncs import flag_names

    return flag_names(image.flags.get(name, 0))


def code_of(report: KfuncReport, types: Sequence[str]) -> int:
    """Exit code: with types as check's; without, 0 for a kfunc that is there, 1 for none, 3 where that is not told."""
    if not report.kfuncs:
        return 3 if report.unread else 1
    answers = {answer for row in report.kfuncs for answer in row.answers.values()} if types else set()
    return 1 if NO in answers else 3 if "unknown" in answers else 0
