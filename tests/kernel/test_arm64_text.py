"""arm64's code of modules as a kernel's answers use it: the file is taken, and one of another build is not."""

from __future__ import annotations

import struct

import pytest

from probe_scout.errors import NotThere
from probe_scout.kernel import arm64_text
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import parse
from probe_scout.probes.attach import instruction
from probe_scout.sources import open_source
from tests.builders.image_writer import ModuleSymbol, module

SNAPSHOT = "fixtures/arm64/kernels/debian-7.3.4-arm64.tar.xz"
MODULE, NAME = "dm_mod", "dev_remove"
LOAD, ERET = 0xF9400000, 0xD69F03E0
BUILD_ID = bytes(range(20))


def ko(words: list[int]) -> bytes:
    text = b"".join(word.to_bytes(4, "little") for word in words)
    note = struct.pack("<III4s", 4, 20, 3, b"GNU") + BUILD_ID
    sections = {".text": text, ".note.gnu.build-id": note}
    return module(sections, [ModuleSymbol(NAME, ".text", 0)], machine=183, data=(".note.gnu.build-id",))


class WithFile:
    """The recorded kernel with a file of one module below lib/modules, and a note of its build in sys/module."""

    def __init__(self, raw: bytes, running: bytes) -> None:
        self._source, self._raw, self._running = open_source(SNAPSHOT), raw, running

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    def read(self, path: str) -> bytes:
        if path.endswith("/notes/.note.gnu.build-id"):
            return struct.pack("<III4s", 4, 20, 3, b"GNU") + self._running
        if path.startswith("usr/lib/modules/"):
            raise NotThere(path, "not_there")
        if path.endswith("modules.dep"):
            return f"kernel/{MODULE}.ko:\n".encode()
        return self._raw if path.endswith(f"/{MODULE}.ko") else self._source.read(path)


def kernel(running: bytes = BUILD_ID) -> Kernel:
    return Kernel(WithFile(ko([LOAD, LOAD, ERET, LOAD] * 100), running))


def answers(k: Kernel, offset: int) -> tuple[str, ...]:
    return tuple(one.answer for one in instruction.verdicts(k, parse(f"{NAME}+{offset:#x}"), ("kprobe",)))


@pytest.mark.parametrize(("offset", "answer"), [(0x14, "yes"), (0x18, "no"), (0x1C, "yes")])
def test_an_offset_into_a_module_is_judged_by_its_file(offset, answer):
    assert answers(kernel(), offset) == (answer,)


def test_a_file_of_another_build_is_not_taken():
    k = kernel(running=bytes(20))
    assert answers(k, 0x18) == ("unknown",)
    assert "another build" in k.code_why()


def test_without_an_image_and_a_file_there_are_no_words():
    k = Kernel(open_source(SNAPSHOT))
    view = k.view((NAME.encode(),))
    assert arm64_text.words(k, view.symbols, view.symbols.rows(NAME.encode())[0], 0x18) == ()
