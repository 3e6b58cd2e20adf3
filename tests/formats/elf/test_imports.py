"""formats/elf/imports.py on damaged files; its table beside readelf's is in tests/probes/user/test_returns.py."""

from __future__ import annotations

import random

from probe_scout.errors import Malformed
from probe_scout.formats.elf import imports
from probe_scout.formats.elf.user_image import UserImage
from tests.builders import programs


def test_damaged_files_give_slots_or_nothing(tmp_path):
    raw = programs.compiled(tmp_path, "prog", programs.PROGRAM).read_bytes()
    chance = random.Random(5)
    assert "printf" in imports.slots(UserImage(raw, "prog")).values()
    for _ in range(300):
        cut = bytearray(raw[: chance.randrange(64, len(raw))] if chance.random() < 0.3 else raw)
        for _ in range(chance.randrange(1, 40)):
            cut[chance.randrange(16, len(cut))] = chance.randrange(256)
        try:
            image = UserImage(bytes(cut), "prog")
            assert isinstance(imports.slots(image), dict)
            imports.stub_slot(image, image.entry)
        except Malformed:
            pass
