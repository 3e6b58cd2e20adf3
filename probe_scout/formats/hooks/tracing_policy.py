"""Hooks of a Tetragon TracingPolicy: spec.kprobes, spec.fentries, spec.tracepoints, spec.lsmhooks, lists of calls.

https://tetragon.io/docs/concepts/tracing-policy/hooks/ names the keys. The YAML is read by PyYAML, if it is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import UsageError
from ...model.hooks import HookSet
from . import found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = ("TracingPolicy", "TracingPolicyNamespaced")
_DOCUMENTS_MAX = 1000


def read(data: bytes, where: str) -> HookSet:
    """The hooks of all policies in a file. Raises UsageError."""
    try:
        import yaml
    except ImportError:
        raise UsageError(f"{where}: policies need the package PyYAML: pip install 'probe-scout[policy]'") from None
    if data.count(b"&") and b"*" in data and data.count(b"*") > 10_000:
        raise UsageError(f"{where}: too many aliases")
    try:
        documents = []
        for one in yaml.safe_load_all(data.decode("utf-8-sig")):
            documents.append(one)
            if len(documents) > _DOCUMENTS_MAX:
                raise UsageError(f"{where}: more than {_DOCUMENTS_MAX} documents")
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: not YAML: {' '.join(str(error).split())[:200]}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"{where}: not YAML: {type(error).__name__}") from None
    policies = [one for one in documents if isinstance(one, dict) and one.get("kind") in _KINDS]
    if not policies:
        raise UsageError(f"{where}: no {' or '.join(_KINDS)} in it")
    return found.hooks((point for one in policies for point in _points(one)), where)


def _points(policy: dict[str, Any]) -> Iterator[found.Found]:
    spec = policy.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    lists = {one.get("name"): one for one in _tables(spec, "lists")}
    for one in _tables(spec, "kprobes"):
        for call, is_syscall in _calls(one, lists):
            if not call:
                yield found.Found(
                    str(one["call"]), (), why_not="Tetragon makes this list of the kernel that it runs on"
                )
                continue
            if is_syscall:
                name = call.removeprefix("__x64_").removeprefix("__arm64_").removeprefix("sys_")
                ladder: tuple[str, ...] = (f"ksyscall/{name}",)
            else:
                ladder = (f"kprobe.multi/{call}", f"kprobe/{call}")  # the first where the kernel has it, as Tetragon
            yield found.Found(call, ladder)
            if one.get("return") is True and not is_syscall:
                yield found.Found(f"{call} (return)", (f"kretprobe.multi/{call}", f"kretprobe/{call}"))
    for one in _tables(spec, "fentries"):
        yield found.Found(f"{one.get('call')}", (f"fentry/{one.get('call')}",))
    for one in _tables(spec, "tracepoints"):
        event = f"{one.get('subsystem')}/{one.get('event')}"
        way = "raw_tp" if one.get("raw") is True else "tp"
        yield found.Found(event, (f"tp/{event}",) if way == "tp" else (f"raw_tp/{one.get('event')}",))
    for one in _tables(spec, "lsmhooks"):
        yield found.Found(f"lsm {one.get('hook')}", (f"lsm/{one.get('hook')}",))
    for one in _tables(spec, "uprobes"):
        yield found.Found(f"uprobe {one.get('path')}", (f"uprobe/{one.get('path')}:x",))


def _calls(one: dict[str, Any], lists: dict[Any, dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """The functions of an entry: one, or those of a list that it names (`list:NAME`)."""
    call = str(one.get("call"))
    if not call.startswith("list:"):
        yield call, one.get("syscall") is True
        return
    named = lists.get(call[5:], {})
    kind = named.get("type")
    values = named.get("values")
    for value in values if isinstance(values, list) else ():
        yield str(value), kind == "syscalls"
    if not isinstance(values, list):
        yield "", False


def _tables(spec: dict[str, Any], key: str) -> list[dict[str, Any]]:
    rows = spec.get(key)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
