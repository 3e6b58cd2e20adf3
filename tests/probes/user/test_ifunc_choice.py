"""Which implementation of an IFUNC a process calls: what the tool reads beside what the program says it ran."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from probe_scout.formats.elf import imports
from probe_scout.formats.elf.user_image import UserImage
from probe_scout.frontends.session import open_kernel
from tests.builders import programs

LIBRARY = r"""
const char *first(void) { return "first"; }
const char *second(void) { return "second"; }
static void *choose(void) { return __builtin_cpu_init(), __builtin_cpu_supports("%s") ? second : first; }
const char *picked(void) __attribute__((ifunc("choose")));
"""
MAIN = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
const char *picked(void);
int main(int argc, char **argv) {
  if (argc > 1) puts(picked()); else puts("-");
  fflush(stdout); pause(); return 0; }
"""


def built(folder: Path, feature: str, *flags: str, as_library: bool) -> tuple[Path, Path]:
    """(program, file of the IFUNC). sse2 is there on every x86-64 processor, sse4a on none by Intel."""
    source = LIBRARY % feature
    if not as_library:
        path = programs.compiled(folder, "prog", source + MAIN, *flags)
        return path, path
    library = programs.compiled(folder, "libpick.so", source, "-shared", "-fPIC")
    return programs.compiled(folder, "prog", MAIN, str(library), f"-Wl,-rpath,{folder}", *flags), library


@pytest.mark.machine
@pytest.mark.parametrize("feature", ["sse2", "sse4a"])
@pytest.mark.parametrize("flags", [("-Wl,-z,now",), ("-Wl,-z,lazy",), ("-no-pie", "-fno-pie")])
@pytest.mark.parametrize("as_library", [True, False])
def test_the_process_calls_what_it_says(tmp_path, feature, flags, as_library):
    program, file = built(tmp_path, feature, *flags, as_library=as_library)
    with subprocess.Popen([program, "go"], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            ran = running.stdout.readline().strip()
            for target, pid in ((f"pid:{running.pid}:{file}:picked", None), (f"{file}:picked", running.pid)):
                (report,) = open_kernel("").check([target], ["uprobe"], pid=pid).targets
                (said,) = (one.says for one in report.diagnosis if one.kind == "ifunc_choice")
                assert said == f"Process {running.pid} calls {ran}: so its GOT says."
                assert report.alternatives[0].target.endswith(f":{ran}")
        finally:
            running.kill()


@pytest.mark.machine
def test_a_slot_that_is_not_filled_tells_nothing(tmp_path):
    program, library = built(tmp_path, "sse2", "-Wl,-z,lazy", as_library=True)
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            (report,) = open_kernel("").check([f"{library}:picked"], ["uprobe"], pid=running.pid).targets
            (said,) = (one.says for one in report.diagnosis if one.kind == "ifunc_choice")
            assert "no slot of a GOT is filled" in said
        finally:
            running.kill()


def test_the_slots_that_resolvers_fill_are_those_of_readelf(tmp_path):
    path = programs.compiled(tmp_path, "prog", LIBRARY % "sse2" + MAIN)
    rows = programs.run(programs.tool("readelf"), "-rW", path).splitlines()
    told = {int(row.split()[0], 16): int(row.split()[3], 16) for row in rows if "R_X86_64_IRELATIV" in row}
    assert told
    assert imports.resolved(UserImage(path.read_bytes(), "prog")) == told
