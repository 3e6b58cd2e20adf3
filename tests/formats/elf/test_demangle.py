"""formats/elf/demangle.py: names of compiled programs beside c++filt, and names of Rust."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from probe_scout.formats.elf import demangle

CXX = [
    "_ZNSt6vectorIiSaIiEE9push_backERKi",
    "_ZN3foo3barEPKcz",
    "_ZNK4test5ClassclEv",
    "_ZN12_GLOBAL__N_13runEv",
    "_ZNSt5dequeIN2v88internal13HeapGraphEdgeESaIS2_EE12emplace_backIJRNS2_4TypeEEEERS2_DpOT_",
]
RUST = [
    ("_RNvCs15kBYyAo9fc_7mycrate3foo", "mycrate::foo"),
    ("_RNvMNtCs1_4core3numi3abs", None),
    ("_RNCNvCsgStHSCytQ6I_7mycrate4main0B3_", "mycrate::main::{closure#0}"),
    ("_RINvNvC3std3mem8align_ofjE", "std::mem::align_of::<usize>"),
    ("_RNvXCs0_7mycrateNtB2_3FooNtB2_5Trait3bar", None),
    ("_RINvC1a1bRAhj8_E", "a::b::<&[u8; 8]>"),
    ("_RINvC1a1bFUKCmEtE", 'a::b::<unsafe extern "C" fn(u32) -> u16>'),
    ("_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE", "core::fmt::Formatter::write_str"),
    (
        "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE",
        "<Test + 'static as foo::Bar<Test>>::bar",
    ),
]


def test_cxx_names_are_those_of_cxxfilt():
    cxxfilt = shutil.which("c++filt")
    if cxxfilt is None or not demangle.can_cxx():
        pytest.skip("needs c++filt and libstdc++")
    said = subprocess.run([cxxfilt], input="\n".join(CXX), capture_output=True, text=True, check=True).stdout
    assert [demangle.demangle(name) for name in CXX] == said.splitlines()


@pytest.mark.parametrize(("name", "plain"), RUST, ids=[row[0][:30] for row in RUST])
def test_rust(name: str, plain: str | None):
    if plain is not None:
        assert demangle.demangle(name) == plain
    else:
        assert isinstance(demangle.demangle(name), str)


@pytest.mark.parametrize(
    "name", ["_R", "_RNv", "_RB_", "_RNvB_1a", "_R" + "NvC1a" * 3000, "_RINvC1a1b" + "RB_" * 500, "_Z", "_ZN"]
)
def test_names_that_are_none(name: str):
    assert demangle.demangle(name) == name


def test_arguments_are_taken_off():
    assert demangle.without_arguments("ns::f(int, char) const") == "ns::f"
    assert demangle.without_arguments("ns::operator()(int)") == "ns::operator()"
    assert demangle.without_arguments("(anonymous namespace)::run()") == "(anonymous namespace)::run"
    assert (
        demangle.without_arguments("std::vector<int (*)(char)>::push_back(int)")
        == "std::vector<int (*)(char)>::push_back"
    )


@pytest.mark.parametrize(
    ("plain", "shorter"),
    [
        ("over(int)", ["over"]),
        ("F<int>::operator()(int) const", ["F<int>::operator()"]),
        ("F<int>::operator<(F<int> const&) const", ["F<int>::operator<"]),
        ("F<int>::operator int() const", ["F<int>::operator int"]),
        (
            "int ns::pick<int, double>(int, double)",
            ["ns::pick<int, double>(int, double)", "ns::pick<int, double>", "ns::pick"],
        ),
        ("main::{lambda(int)#1}::operator()(int) const", ["main::{lambda(int)#1}::operator()"]),
        ("bool std::operator==<char>(char)", ["std::operator==<char>(char)", "std::operator==<char>"]),
        ("S::operator new(unsigned long)", ["S::operator new"]),
        ("S::operator->*(int)", ["S::operator->*"]),
        ("(anonymous namespace)::run(int)", ["(anonymous namespace)::run"]),
        ("a::b<(c)3>::d(int)", ["a::b<(c)3>::d"]),
        ("unsigned long f<1>(decltype (x))", ["f<1>(decltype (x))", "f<1>", "f"]),
        ("my_operator(int)", ["my_operator"]),
    ],
)
def test_what_people_write_for_a_name(plain, shorter):
    found = demangle.shorter_names(plain)
    assert set(shorter) <= set(found)
    assert plain.startswith(found[0])
