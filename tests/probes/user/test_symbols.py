"""Names as people write them: operators, templates, lambdas of C++, found in mangled tables."""

from __future__ import annotations

import pytest

from probe_scout.formats.elf import demangle
from probe_scout.probes.user import files, symbols
from probe_scout.sources.user_files import FileState
from tests.builders import programs

SOURCE = r"""
#define NOINLINE __attribute__((noinline))
template <typename T> struct Fun {
  NOINLINE T operator()(T a) const { return a + 1; }
  NOINLINE bool operator<(const Fun &) const { return sizeof(T) > 4; }
  NOINLINE operator int() const { return sizeof(T); }
  NOINLINE Fun &operator<<(T) { return *this; }
};
namespace ns {
template <typename A, typename B> NOINLINE int pick(A v, B b) { return (int)v + (int)b; }
struct S { NOINLINE S() { x = 1; } int x; NOINLINE void *operator new(unsigned long n); };
static char place[64];
void *S::operator new(unsigned long) { return place; }
}
NOINLINE int over(int a) { return a; }
NOINLINE int over(double a) { return (int)a * 2; }
int main(int c, char **v) {
  Fun<int> f; Fun<double> g;
  auto lam = [&](int q) NOINLINE { return q * c; };
  ns::S *s = new ns::S;
  int n = f(c) + (int)g(2.0) + (f < f) + (int)f + ns::pick(1, 2.5) + over(c) + over(1.0 * c);
  return n + lam(3) + s->x + ((f << 1) < f);
}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> files.UserFile:
    folder = tmp_path_factory.mktemp("names")
    (folder / "t.cc").write_text(SOURCE)
    path = folder / "t"
    programs.run(programs.tool("g++"), "-O1", "-fno-ipa-cp", "-fno-ipa-pure-const", "-o", path, folder / "t.cc")
    patch = pytest.MonkeyPatch()
    patch.setattr(files.user_files, "state", lambda path: FileState(""))
    found = files.UserFile(None, files.Place(str(path), str(path)), files.LIVE)  # type: ignore[arg-type]
    patch.undo()
    return found


@pytest.mark.parametrize(
    ("name", "mangled"),
    [
        ("Fun<int>::operator()(int) const", {"_ZNK3FunIiEclEi"}),
        ("Fun<int>::operator()", {"_ZNK3FunIiEclEi"}),
        ("Fun<*>::operator()*", {"_ZNK3FunIiEclEi", "_ZNK3FunIdEclEd"}),
        ("Fun<int>::operator<", {"_ZNK3FunIiEltERKS0_"}),
        ("Fun<int>::operator<<(int)", {"_ZN3FunIiElsEi"}),
        ("Fun<int>::operator int() const", {"_ZNK3FunIiEcviEv"}),
        ("ns::pick", {"_ZN2ns4pickIidEEiT_T0_"}),
        ("ns::pick<int, double>", {"_ZN2ns4pickIidEEiT_T0_"}),
        ("int ns::pick<int,double>(int,double)", {"_ZN2ns4pickIidEEiT_T0_"}),
        ("ns::S::operator new(unsigned long)", {"_ZN2ns1SnwEm"}),
        ("over(int)", {"_Z4overi"}),
        ("over", {"_Z4overi", "_Z4overd"}),
        ("main::{lambda(int)#1}::operator()(int) const", {"_ZZ4mainENKUliE_clEi"}),
        ("ns::pick<int>", set()),
        ("Fun<long>::operator()", set()),
        ("pick", set()),
    ],
)
def test_a_name_of_cxx_is_found(file, name, mangled):
    assert {one.name for one in symbols.find(file, name).symbols} == mangled


def test_every_function_is_found_by_each_of_its_names(file):
    """The quick look at words, which spares demangling most symbols, leaves none out."""
    assert file.image is not None
    seen = 0
    for symbol in file.image.symbols():
        plain = demangle.demangle(symbol.name)
        if plain != symbol.name:
            seen += 1
            for name in (plain, *demangle.shorter_names(plain)):
                assert symbols.matches(name, symbol), (symbol.name, name)
    assert seen >= 10
