"""The copy that programs on one system call's event get, in booted kernels of the known layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vm import boot

SCRIPT = Path(__file__).parent / "guest" / "syscall_copy.py"
CALL = 292  # dup3, x86_64
VALUES = {"oldfd": 0x1111, "newfd": 0x2222, "flags": 0x80001, "__syscall_nr": CALL}
COMMANDS = """
python3 /probe/syscall_copy.py >/out/values.json
for event in enter exit; do probe-scout tracepoint syscalls:sys_${event}_dup3 --json >/out/$event.json; done
"""


@pytest.mark.vm
@pytest.mark.parametrize("name", ["5.10", "5.10-rt", "6.12", "7.3"])
def test_programs_find_each_field_where_the_tool_says(fetched_kernel, name, tmp_path):
    share = {"/probe/syscall_copy.py": SCRIPT}
    ended = boot.run(fetched_kernel(name), ["sh", "-c", COMMANDS], share=share, out=tmp_path, tool=True)
    assert ended.status == 0, ended.stderr
    said = json.loads((tmp_path / "values.json").read_text())
    for event in ("enter", "exit"):
        loads = {int(offset): value for offset, value in said[f"sys_{event}_dup3"].items()}
        fields = json.loads((tmp_path / f"{event}.json").read_text())["events"][0]["fields"]
        own = {field["name"]: field for field in fields if not field["common"]}
        assert {field["access"] for field in own.values()} == {"value"}
        for title, field in own.items():
            got = loads[field["offset"]] & (1 << 8 * field["load"]) - 1
            assert got == VALUES.get(title, got), title
        if event == "exit":
            assert loads[own["ret"]["offset"]] > 1 << 63  # a negative errno
