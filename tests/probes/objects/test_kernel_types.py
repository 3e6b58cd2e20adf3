"""What compiled objects ask a kernel: addresses of a symbol, by the rule of libbpf's search of kallsyms."""

from __future__ import annotations

from typing import ClassVar

from probe_scout.formats.btf import kinds
from probe_scout.probes.objects.kernel_types import KernelTypes

KALLSYMS = b"""ffffffff81000000 T once
ffffffff81000010 t twice
ffffffff81000020 t twice_more
ffffffff81000030 t twice\t[ext4]
ffffffff81000010 T twice
ffffffff81000040 t more twice
ffffffff81000050 D last
ffffffff81000060 W replaceable
ffffffff81000070 W last_weak"""


class _Kernel:
    def btf(self, module=None):
        return None

    def kallsyms(self):
        return KALLSYMS


def test_a_symbol_counts_once_for_each_address_modules_too():
    types = KernelTypes(_Kernel())
    names = ("once", "twice", "twice_more", "more", "absent", "last", "ice")
    assert [types.symbol_count(name) for name in names] == [1, 2, 1, 0, 0, 1, 0]


def test_a_weak_function_is_one_that_no_architecture_replaced():
    types = KernelTypes(_Kernel())
    assert [types.is_weak(name) for name in ("replaceable", "last_weak", "once", "replace", "absent")] == [
        *(True, True),
        *(False, False, False),
    ]


class _Btf:
    def __init__(self, *names):
        self.names = names

    def find_ids(self, name, wanted):
        return [1] if name in self.names and kinds.FUNC in wanted else []


class _WithModules(_Kernel):
    held: ClassVar = {None: _Btf("in_both", "in_vmlinux"), "a": _Btf(), "b": _Btf("in_both", "in_module"), "c": None}

    def btf(self, module=None):
        return self.held[module]

    def btf_modules(self):
        return ("a", "c", "b")


def test_a_function_is_of_a_module_where_vmlinux_has_none():
    types = KernelTypes(_WithModules())
    assert [types.module_of(name, kinds.FUNC) for name in ("in_both", "in_vmlinux", "in_module", "nowhere")] == [
        *("", ""),
        *("b", ""),
    ]
    assert not types.module_of("in_module", kinds.STRUCT)
