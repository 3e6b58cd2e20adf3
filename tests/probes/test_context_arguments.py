"""Words of ctx of BTF-typed programs, against what bpftool prints of the same type information.

kernel/bpf/btf.c, btf_ctx_access: an argument begins at a word of 8 bytes and takes as many as it needs; a pointer to a
struct or union is typed, every other pointer is a number (btf_type_is_struct_ptr).
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

import probe_scout
from probe_scout.kernel.kernel import Kernel
from probe_scout.probes import context_arguments
from probe_scout.sources import open_source

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"
MODIFIERS = {"TYPEDEF", "CONST", "VOLATILE", "RESTRICT", "TYPE_TAG"}
SAMPLE = 4000


class Types:
    """bpftool's list of types."""

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self.rows = {row["id"]: row for row in rows}

    def behind(self, type_id: int) -> dict[str, object]:
        while type_id and self.rows[type_id]["kind"] in MODIFIERS:
            type_id = self.rows[type_id]["type_id"]
        return self.rows.get(type_id, {"kind": "VOID", "size": 0})

    def size(self, type_id: int) -> int:
        row = self.behind(type_id)
        if row["kind"] == "ARRAY":
            return row["nr_elems"] * self.size(row["type_id"])
        return 8 if row["kind"] == "PTR" else row.get("size", 0)

    def is_typed(self, type_id: int) -> bool:
        row = self.behind(type_id)
        return row["kind"] == "PTR" and self.behind(row["type_id"])["kind"] in ("STRUCT", "UNION")


@pytest.mark.image
def test_words_are_those_of_bpftools_types(tmp_path):
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed")
    source = open_source(str(RECORDED))
    (tmp_path / "btf").write_bytes(source.read("sys/kernel/btf/vmlinux"))
    line = ["bpftool", "-j", "btf", "dump", "file", str(tmp_path / "btf"), "format", "raw"]
    types = Types(json.loads(subprocess.run(line, check=True, capture_output=True).stdout)["types"])
    kernel = Kernel(source)
    btf = kernel.btf()
    functions = sorted((row for row in types.rows.values() if row["kind"] == "FUNC"), key=lambda row: row["id"])
    words = 0
    for row in random.Random(5).sample(functions, SAMPLE):
        proto = types.rows[row["type_id"]]
        params = proto.get("params", [])
        if params and not params[-1]["type_id"]:
            continue  # of any number of arguments: no such program
        ours = context_arguments.typed(kernel, btf, btf.function(row["id"]), "fexit", True)
        at, expected = 0, []
        for param in params:
            expected.append((8 * at, types.size(param["type_id"]), types.is_typed(param["type_id"])))
            at += max(1, (expected[-1][1] + 7) // 8)
        if types.behind(proto["ret_type_id"])["kind"] != "VOID":
            expected.append((8 * at, types.size(proto["ret_type_id"]), None))
        told = [(one.offset, one.size, one.value == "ptr_to_btf_id") for one in ours]
        assert [one[:2] for one in told] == [one[:2] for one in expected], row["name"]
        assert all(one[2] == want[2] for one, want in zip(told, expected, strict=True) if want[2] is not None), row[
            "name"
        ]
        assert [one.name for one in ours[: len(params)]] == [param["name"] for param in params], row["name"]
        words += len(expected)
    assert words > 9000
    assert probe_scout.open_kernel(str(RECORDED)).context("vfs_read", ["fexit"]).cards[0].size == 40
