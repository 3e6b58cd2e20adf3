"""Which module file is opened for a name, and what it makes of it."""

from __future__ import annotations

import pytest

from probe_scout.model.target import parse
from probe_scout.probes.explain import module_homes


class Modules:
    """As much of a lookup as is asked here. `holds`: module to the symbols of its file; None: it cannot be read."""

    def __init__(self, holds, loaded=(), files=True):
        self.holds, self.loaded, self.opened = holds, frozenset(loaded), []
        self.files = {name: f"{name}.ko" for name in holds} if files else None

    def module_files(self):
        return self.files

    def modules_loaded(self):
        return self.loaded

    def module_symbols(self, module):
        self.opened.append(module)
        return self.holds.get(module)


def test_the_table_holds_names_of_modules():
    for name, module in module_homes.MODULE_HOMES.items():
        assert "-" not in module
        parse(f"{module}:{name}")


def test_a_file_that_has_the_function_is_sure():
    lookup = Modules({"nvme_core": {"nvme_setup_cmd"}, "nvme": set()})
    assert module_homes.homes(lookup, "nvme_setup_cmd") == (("nvme_core", True),)


def test_a_known_home_whose_file_cannot_be_read_is_a_guess():
    assert module_homes.homes(Modules({"nvme_core": None}), "nvme_setup_cmd") == (("nvme_core", False),)


def test_a_known_home_that_lacks_the_function_is_none():
    assert module_homes.homes(Modules({"nvme_core": {"other"}}), "nvme_setup_cmd") == ()


def test_a_module_that_is_loaded_or_not_installed_is_not_opened():
    for lookup in (Modules({"nvme_core": {"nvme_setup_cmd"}}, loaded=["nvme_core"]), Modules({"kvm": set()})):
        assert module_homes.homes(lookup, "nvme_setup_cmd") == ()
        assert lookup.opened == []


def test_without_a_list_of_files_the_table_alone_is_asked():
    lookup = Modules({}, files=False)
    assert module_homes.homes(lookup, "vmx_vcpu_run") == (("kvm_intel", False),)


def test_the_longest_common_beginning_is_opened_first():
    lookup = Modules({"foo": set(), "foo_bar_baz": set(), "foo_bar": set(), "other": set()})
    module_homes.homes(lookup, "foo_bar_bazooka")
    assert lookup.opened == ["foo_bar_baz", "foo_bar", "foo"]


def test_few_files_are_opened():
    lookup = Modules({f"foo_{n}": set() for n in range(50)})
    module_homes.homes(lookup, "foo_function")
    assert len(lookup.opened) == module_homes.FILES_MAX


@pytest.mark.parametrize("name", ["", "_", "___"])
def test_a_name_without_words_opens_nothing(name):
    lookup = Modules({"foo": set()})
    assert module_homes.homes(lookup, name) == ()
    assert lookup.opened == []
