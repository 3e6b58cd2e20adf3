"""Sizes of maps that a kernel refuses: by its types, and for per-CPU values by the code of map_alloc_check."""

from __future__ import annotations

from ...rules import object_load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.bpf_map import MapDefinition
    from .kernel_types import KernelTypes

UNSEEN = "unseen"
_TYPES = "sys/kernel/btf/vmlinux: enum bpf_func_id"


def too_large(types: KernelTypes, definition: MapDefinition) -> tuple[object_load.Refused | None, str]:
    """Why the kernel refuses the map's sizes, and the evidence; UNSEEN where only its code decides whether it does."""
    kernel = types.kernel
    has_small_pages = kernel.arch() == "x86_64" or kernel.config("CONFIG_ARM64_4K_PAGES") == "y"
    refused = object_load.map_too_large(definition, types.enum("bpf_func_id"), has_small_pages)
    if refused is None and has_small_pages and object_load.is_percpu_too_large(definition):
        return _percpu(types, definition)
    return refused, _TYPES


def _percpu(types: KernelTypes, definition: MapDefinition) -> tuple[object_load.Refused | None, str]:
    name = object_load.PERCPU_CHECKS[definition.type]
    # Commit d920179b3d48 ("bpf: Add support for uprobe multi session attach") is of the release after the check's.
    checks: bool | None = True
    evidence = "sys/kernel/btf/vmlinux: BPF_TRACE_UPROBE_SESSION, which is newer than the check"
    if not types.knows("bpf_attach_type", "BPF_TRACE_UPROBE_SESSION"):
        checks = types.kernel.compares_with(name, object_load.PERCPU_LIMITS)
        evidence = "the object" if checks is None else f"the kernel's image: {name}"
    has_cache = types.vmlinux is None or types.vmlinux.has_name("bpf_mem_alloc")
    refused, is_known = object_load.percpu_refused(definition, checks, has_cache)
    return refused, evidence if is_known else UNSEEN
