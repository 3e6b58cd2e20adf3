"""Advice without helpers that this kernel does not give: under lockdown=confidentiality none reads kernel memory.

Decided in kernel/trace/bpf_trace.c bpf_tracing_func_proto and kernel/bpf/helpers.c bpf_base_func_proto:
LOCKDOWN_BPF_READ_KERNEL. A program that calls one of them does not load; typed loads do.
"""

from __future__ import annotations

from .limits import kernel_reads_locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.kernel import Kernel
    from ...model.trace import EventField, EventReport

_READERS = ("bpf_probe_read_kernel_str", "bpf_probe_read_kernel", "bpf_probe_read")
NOTE = (
    "this kernel is locked down for confidentiality: programs that call bpf_probe_read_kernel or "
    "bpf_probe_read_kernel_str do not load here; plain loads of typed arguments and of the record's fields do"
)


def fit(k: Kernel, report: EventReport) -> EventReport:
    """The report with no helper named that programs may not call on this kernel."""
    if not kernel_reads_locked(k):
        return report
    return report._replace(fields=tuple(map(_fit_field, report.fields)))


def _fit_field(field: EventField) -> EventField:
    if field.read_with in _READERS:
        head = field.says.partition("; then ")[0].partition(": bpf_probe_read")[0]
        says = f"{head}; no helper reads what it leads to here (lockdown): take the typed arguments of tp_btf"
        return field._replace(read_with=None, says=says)
    plain = field.says.partition(", or bpf_probe_read_kernel")[0]
    return field if plain == field.says else field._replace(says=plain)
