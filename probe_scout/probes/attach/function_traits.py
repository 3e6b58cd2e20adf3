"""From a name to traits: everything that depends on a name or an address is settled here.

One piece of code serves both ways of asking. `check` hands it a narrow view (the lines that decide about
one name), `scan` the whole one; a test demands equal traits.
"""

from __future__ import annotations

from ... import arch
from ...kernel.located import blacklisted, btf_function, locate
from ...model import facts, lsm_hooks
from ...model.never_try import DENIED, DENIED_FIRST, NORETURN
from ...model.traits import MODULE, NOWHERE, TEXT, EventTraits, Proto, Traits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...formats.btf.reader import Btf
    from ...kernel.kernel import Kernel
    from ...kernel.located import Located
    from ...kernel.symbols import View
    from ...model.prototype import Shape

PADDING = ("__pfx_", "__cfi_")
KSYM_NAME_LEN, KSYM_NAME_LEN_ONCE = 512, 128  # include/linux/kallsyms.h; b8a94bfb3395
# net/bpf/test_run.c, net/mptcp/bpf.c, drivers/hid/bpf: sets handed to register_btf_fmodret_id_set.
MODIFY_RETURN_SETS = ("bpf_test_modify_return_ids", "bpf_mptcp_fmodret_ids", "hid_bpf_fmodret_ids")
# Members that carry KF_SLEEPABLE; flags are not in the symbols' names, so this is the tool's own list.
MODIFY_RETURN_SLEEPABLE = ("bpf_fentry_test1", "hid_bpf_device_event", "hid_bpf_rdesc_fixup", "__hid_bpf_tail_call")
# Iterators whose link must name a map, and those with BPF_ITER_RESCHED (kernel/bpf/*_iter.c, 6.1 to 7.3).
ITERATORS_OF_MAPS = ("bpf_map_elem", "bpf_sk_storage_map", "sockmap")
ITERATORS_RESCHED = ("task", "task_file", "task_vma", "cgroup", "ksym", "kmem_cache", "dmabuf")
# include/trace/events/syscalls.h: the only two declared by TRACE_EVENT_SYSCALL (7.3).
FAULTABLE_TRACEPOINTS = ("sys_enter", "sys_exit")


def function_traits(k: Kernel, name: str, module: str | None = None) -> Traits:
    """Traits of one function question. `module` None asks by the bare name, "vmlinux" for BTF's own."""
    plain = name.encode()
    located = locate(k, name)
    unread: set[str] = set()
    symbol = _symbol_traits(k, located, name, plain, module, unread)
    typed = _typed_traits(k, located, name, module, unread)
    if located is not None and not (symbol["vmlinux"] or symbol["modules"]):
        if not typed and k.partial():
            # Left out, or not on the kernel: nothing tells. BTF itself is there, and tells what types the kernel knows.
            unread.update((facts.KALLSYMS, facts.MODULE_BTF))
        elif k.unproved() is not None:
            unread.add(facts.KALLSYMS)
    return Traits(**symbol, **typed, unread=frozenset(unread) if unread else NOWHERE)


def _symbol_traits(
    k: Kernel, located: Located | None, name: str, plain: bytes, module: str | None, unread: set[str]
) -> dict[str, Any]:
    """What the symbol table, ftrace's list, the blacklist and the code say."""
    length = len(plain) if module in (None, "vmlinux") else len(f"{module}:".encode()) + len(plain)  # what perf copies
    common: dict[str, Any] = {
        "qualified": module not in (None, "vmlinux"),
        "name_fits": length < KSYM_NAME_LEN,
        "name_over_127": length >= KSYM_NAME_LEN_ONCE,
        "padding": name.startswith(PADDING),
        "switch_to": name in arch.row(k.arch()).kretprobe_blacklist,
    }
    if located is None:
        return common
    view, symbols = located.view, located.symbols
    mine = located.of(module)
    rows = [located.rows[i] for i in mine]
    in_vmlinux = sum(1 for row in rows if symbols.modules[row] is None)
    common["vmlinux"] = min(in_vmlinux, 2)
    common["modules"] = min(len(rows) - in_vmlinux, 2)
    if not rows:
        return common
    row = rows[0]
    common["place"] = located.places[mine[0]]
    title = symbols.canonical(row)
    # within_notrace_func and within_kprobe_blacklist cut a name at its first dot and ask the function of that name as
    # well.
    base_row = symbols.lookup(title.partition(b".")[0]) if b"." in title else None
    site = base_site = None
    if located.sites is not None:
        several = [_site(k, view, located.rows[i], located.sites[i]) for i in mine]
        site = several[0]
        base_site = _site_of(k, view, base_row) if base_row is not None else False
        if site is None or (not site and base_site is None):
            unread.add(facts.FILTER_FUNCTIONS)
        common["any_site"] = any(several)
        common["vmlinux_site"] = any(s for s, r in zip(several, rows, strict=True) if symbols.modules[r] is None)
    common["site"], common["base_site"] = bool(site), bool(base_site)
    blacklist = k.blacklist()
    if blacklist is not None and located.covered is not None:
        common["blacklisted"] = located.covered[mine[0]] or (
            base_row is not None and blacklisted(blacklist, symbols, base_row)
        )
    # The first instruction decides only where ftrace has no site at the entry and within_notrace_func let it pass: a
    # site is a call or a no-op, which kprobes take (check_ftrace_location).
    if common["place"] == MODULE and k.stale_bug(symbols, row):
        common["first"] = "stale"
    elif not site and common["place"] in (TEXT, MODULE) and not common.get("blacklisted"):
        if base_site:
            first = k.first_instruction(symbols, row)
            if first is None:
                unread.add(facts.CODE)
            else:
                common["first"] = first
        elif view.sites is not None and k.feature("notrace_check") is False:
            # Built without the check, so the instruction decides. Unread it is taken for a plain one, as nearly all
            # are: a jump label or a trap at a function's first byte is what a few of a kernel begin with.
            common["first"] = k.first_instruction(symbols, row) or ""
    return common


def _site(k: Kernel, view: View, row: int, known: bool | None) -> bool | None:
    """The symbol holds an ftrace site: by the list, else by the code of those that a line may mean."""
    return k.holds_site(view.symbols, row) if known is None else known


def _site_of(k: Kernel, view: View, row: int) -> bool | None:
    """As `_site`, of a symbol of another name."""
    assert view.sites is not None
    return _site(k, view, row, view.sites.known(view.symbols, row))


def proto_of_shape(shape: Shape) -> Proto:
    """The prototype as rules see it: counts only as far as some rule compares them."""
    return Proto(
        args=shape.nargs if shape.nargs > 11 else 0,  # rules/prototype.py: above 12 or 11
        slots=next(floor for floor in (13, 9, 7, 0) if shape.slots >= floor),  # rules/trampoline.py: above 12, 8 and 6
        variadic=shape.variadic,
        struct_args=bool(shape.struct_args),
        union_args=bool(shape.union_args),
        wide_arg=shape.big_struct_arg,
        empty_arg=shape.zero_arg,
        odd_arg=shape.bad_arg,
        struct_return=shape.ret_struct,
        odd_return=shape.ret_bad,
        wide_return=shape.ret_bytes > 8,
    )


def _typed_traits(
    k: Kernel, located: Located | None, name: str, module: str | None, unread: set[str]
) -> dict[str, Any]:
    """What BTF, the id sets and the address behind a BTF name say."""
    found = btf_function(k, name, module)
    if found is None:
        if located is not None:
            owners = {located.symbols.modules[row] for row in located.rows}
            if any((owner or b"").decode("utf-8", "replace") in k.module_gaps for owner in owners):
                unread.add(facts.MODULE_BTF)
        return {}
    owner, btf, func = found
    shape = btf.shape(func.proto_id)
    common: dict[str, Any] = {"btf": "module" if owner else "vmlinux", "proto": proto_of_shape(shape)}
    common.update(name_traits(k, name, shape.first_arg_struct, unread))
    if lacks_impl(k, btf, name, func.proto_id):
        common["implicit_args"] = True
    if located is None:
        return common
    # The verifier takes the first symbol of the name (kallsyms_lookup_name), or the module's own where it asks so.
    scoped = owner if owner is not None and k.feature("module_scoped") else None
    at = next(iter(located.of(scoped)), None)
    if at is None:
        return common
    common["target_place"] = located.places[at]
    if located.sites is not None:
        site = _site(k, located.view, located.rows[at], located.sites[at])
        if site is None:
            unread.add(facts.FILTER_FUNCTIONS)
        common["target_site"] = bool(site)
        if site is False and common["target_place"] == TEXT:
            nop = k.entry_is_patched(located.symbols, located.rows[at])
            if nop is None and (k.feature("dynamic_ftrace") is not False or k.image is not None):
                # Without ftrace every function is without a site; that one of them begins with a jump label is rare
                # and not worth an unknown for all (2 of 9,625 on 7.3). An image tells which ones may.
                unread.update((facts.ENTRY_CODE,) if k.feature("trampoline_rules") else ())
            elif nop:
                common["target_nop"] = True
    return common


def lacks_impl(k: Kernel, btf: Btf, name: str, proto_id: int) -> bool:
    """A kfunc whose last argument the verifier adds (struct bpf_prog_aux *), and BTF has no `<name>_impl`.

    The flag KF_IMPLICIT_ARGS itself is in no file; its argument is, and a kfunc is known by the kernel's id sets.
    """
    return (
        k.ids().is_kfunc(name)
        and not btf.find_functions(name + "_impl")
        and btf.last_argument_points_to(proto_id, "bpf_prog_aux")
    )


def name_traits(k: Kernel, name: str, first_struct: str, unread: set[str]) -> dict[str, Any]:
    """What the kernel decides by a function's name: id sets, prefixes, lists."""
    ids = k.ids()
    common: dict[str, Any] = {}
    if name.startswith("security_"):
        common["security"] = True
    if name.startswith(k.syscall_prefix() or "sys_"):
        common["syscall"] = True
    if ids.visible:
        if ids.holds("btf_id_deny", name):
            common["denied"] = True
        if ids.holds("noreturn_deny", name):
            common["noreturn"] = True
        if ids.holds("btf_non_sleepable_error_inject", name):
            common["never_sleeps"] = True
        if any(ids.holds(s, name) for s in MODIFY_RETURN_SETS):
            common["modify_return"] = True
            common["modify_return_sleepable"] = name in MODIFY_RETURN_SLEEPABLE
        if name.startswith("bpf_lsm_"):
            common["lsm_hook"] = ids.holds("bpf_lsm_hooks", name)
            common["lsm_disabled"] = ids.holds("bpf_lsm_disabled_hooks", name)
            common["lsm_sleepable"] = ids.holds("sleepable_lsm_hooks", name) or ids.holds(
                "btf_sleepable_lsm_hooks", name
            )
    elif name.startswith("bpf_lsm_"):
        common |= _hidden_hook(k, name.removeprefix("bpf_lsm_"), unread)
    # Hidden lists (without CONFIG_KALLSYMS_ALL): the first members of btf_id_deny are in every kernel that has the
    # list, which is told by a program type of the same time; of later members, and of noreturn_deny, nothing tells.
    elif name in DENIED_FIRST and k.enumerator("BPF_PROG_TYPE_SYSCALL"):
        common["denied"] = True
    elif name in DENIED or name in NORETURN or name.startswith(("bpf_modify_return_", "bpf_fentry_test")):
        unread.add(facts.BTF_IDS)
    injectable = k.injectable()
    if name in injectable:
        common["injectable"] = True
    # kernel/bpf/bpf_iter.c compares the name behind bpf_iter_ with the targets registered, a list that no file shows.
    target = name.removeprefix("bpf_iter_")
    if target != name and first_struct == "bpf_iter_meta" and k.has_struct(f"bpf_iter__{target}"):
        common["iterator"] = "map" if target in ITERATORS_OF_MAPS else "cgroup" if target == "cgroup" else "plain"
        common["iterator_resched"] = target in ITERATORS_RESCHED
    return common


def _hidden_hook(k: Kernel, hook: str, unread: set[str]) -> dict[str, Any]:
    """What is told of a hook where kallsyms hides the kernel's lists (without CONFIG_KALLSYMS_ALL).

    include/linux/lsm_hook_defs.h makes both bpf_lsm_hooks and the members of union security_list_options.
    """
    is_hook = k.member("security_list_options", hook)
    closes_some = k.has_symbol("bpf_lsm_get_retval_range")
    if is_hook is None or (closes_some is not False and hook in lsm_hooks.DISABLED):
        unread.add(facts.BTF_IDS)
        return {}
    has_list = k.has_symbol("bpf_lsm_is_sleepable_hook")
    first, later = hook in lsm_hooks.SLEEPABLE_FIRST, hook in lsm_hooks.SLEEPABLE
    is_sleepable = first if has_list is False else later
    if has_list is not False and (hook in lsm_hooks.VARYING or (has_list is None and first != later)):
        unread.add(facts.BTF_IDS)
        is_sleepable = True  # nothing refuses it, and what was not read makes the yes an unknown
    return {"lsm_hook": is_hook, "lsm_sleepable": is_hook and is_sleepable}


def event_traits(k: Kernel, category: str | None, name: str) -> EventTraits:
    """Traits of one tracepoint question. `category` None asks by the raw tracepoint's name alone."""
    events = k.events_named(name)
    event = False
    if events is not None:
        event = bool(events) if category is None else category in events
    raw = k.raw_tracepoint(name)
    group = category or (events[0] if events else "")
    typed = k.typed_tracepoint(name)
    unread = _KALLSYMS_UNREAD if raw is None else NOWHERE
    if typed is False and raw is not False and k.module_gaps:
        unread = unread | _MODULE_BTF_UNREAD  # the typedef may be in the BTF that could not be read
    if not event and k.partial():
        # Its event was left out, or it has none: nothing tells. So with the tracepoint, where nothing of it is there.
        unread |= {facts.EVENTS} if raw or typed else {facts.EVENTS, facts.KALLSYMS, facts.BTF}
    return EventTraits(
        event=event,
        ftrace_only=group == "ftrace",
        perf_perm=name.encode() in k.names_with(b"perf_perm_"),
        dynamic=k.is_dynamic_event(group, name),
        raw=bool(raw),
        typed=bool(typed),
        typed_in_module=bool(typed) and k.typed_in_module(name),
        faultable=name in FAULTABLE_TRACEPOINTS,
        syscall=group == "syscalls",
        unread=unread,
    )


_KALLSYMS_UNREAD = frozenset((facts.KALLSYMS,))
_MODULE_BTF_UNREAD = frozenset((facts.MODULE_BTF,))


def wrapper(k: Kernel, call: str) -> str:
    """The function that a system call enters on this kernel: the architecture's wrapper, else __se_sys_, else sys_.

    tools/lib/bpf/libbpf.c attach_ksyscall; the first that exists, the architecture's own where none does.
    """
    head = k.syscall_prefix() + "sys_"
    for prefix in (head, "__se_sys_", "sys_"):
        if k.has_function(prefix + call):
            return prefix + call
    return head + call
