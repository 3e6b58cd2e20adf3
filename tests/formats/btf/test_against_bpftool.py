"""The BTF scanner against `bpftool btf dump … format raw`, on recorded kernels that are at hand."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from probe_scout.formats.btf.reader import Btf

REPOSITORY = Path(__file__).parents[3]
NAMED = os.environ.get("PROBE_SCOUT_KERNELS")
FOLDERS = [Path(NAMED)] if NAMED else [REPOSITORY / "fixtures", REPOSITORY.parent / "shared" / "kernels"]
FOUND = sorted(archive for folder in FOLDERS for archive in folder.glob("debian-*.tar.xz"))
# A kernel takes seconds: the newest alone unless a folder is named.
ARCHIVES = FOUND if NAMED else FOUND[-1:]
BPFTOOL = shutil.which("bpftool") or (shutil.which("bpftool", path="/usr/sbin:/sbin"))
TYPE = re.compile(r"\[(\d+)\] (\w+) '(.*?)'(.*)")
FOLDER = "sys/kernel/btf/"
MODULES_TRIED = 3
NAMES_TRIED = 200

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(BPFTOOL is None, reason="bpftool is not installed: apt-get install bpftool"),
    pytest.mark.skipif(
        not ARCHIVES, reason="no recorded kernel: PROBE_SCOUT_KERNELS names a folder of debian-*.tar.xz"
    ),
]


def unpack(archive: Path, folder: Path) -> dict[str, Path]:
    """The archive's BTF files: vmlinux and the largest few modules."""
    with tarfile.open(archive) as tar:
        members = [m for m in tar if m.isfile() and m.name.removeprefix("./").startswith(FOLDER)]
        members.sort(key=lambda m: (not m.name.endswith("/vmlinux"), -m.size))
        files = {}
        for member in members[: 1 + MODULES_TRIED]:
            content = tar.extractfile(member)
            assert content is not None
            path = folder / Path(member.name).name
            path.write_bytes(content.read())
            files[path.name] = path
    return files


def dump(path: Path, base: Path | None) -> list[str]:
    command = [BPFTOOL, *(["-B", str(base)] if base else []), "btf", "dump", "file", str(path), "format", "raw"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def facts(lines: list[str]) -> dict[str, dict]:
    """FUNC ids by name, prototype ids by FUNC id, parameters by prototype id, values by the first enum of a name."""
    functions: dict[str, tuple[int, ...]] = {}
    protos, enums, params = {}, {}, {}
    values = args = None
    for line in lines:
        head = TYPE.match(line)
        if head:
            values = args = None
            number, kind, name, rest = int(head[1]), head[2], head[3], head[4]
            if kind == "FUNC":
                functions[name] = (*functions.get(name, ()), number)
                protos[number] = int(re.search(r"type_id=(\d+)", rest)[1])
            elif kind == "FUNC_PROTO":
                args = params[number] = []
            elif kind in ("ENUM", "ENUM64") and name not in enums:
                values = enums[name] = {}
        elif args is not None:
            args.append(re.match(r"\t'(.*)' type_id=\d+$", line)[1].replace("(anon)", ""))
        elif values is not None:
            name, value = re.match(r"\t'(.*)' val=(-?\d+)(?:U?LL)?$", line).groups()
            values[name] = int(value)
    enums.pop("(anon)", None)
    return {"functions": functions, "protos": protos, "params": params, "enums": enums}


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_functions_prototypes_and_enums_equal_those_of_bpftool(archive, tmp_path):
    files = unpack(archive, tmp_path)
    base = None
    for name, path in files.items():
        theirs = facts(dump(path, files["vmlinux"] if base else None))
        btf = Btf(path.read_bytes(), base, FOLDER + name)
        searched = Btf(btf.raw, base)
        assert btf.functions() == theirs["functions"]
        assert {i: btf.function(i).proto_id for i in theirs["protos"]} == theirs["protos"]
        sample = random.Random(name).sample(sorted(theirs["functions"]), min(NAMES_TRIED, len(theirs["functions"])))
        for func in sample:
            found = searched.find_functions(func)
            assert tuple(f.type_id for f in found) == theirs["functions"][func]
            for each in found:
                prototype = btf.prototype(each)
                expected = theirs["params"].get(each.proto_id)  # absent where the prototype is vmlinux's
                if expected is not None:
                    assert [a.name for a in prototype.args] + [""] * prototype.variadic == expected
        for enum in random.Random(name).sample(sorted(theirs["enums"]), min(NAMES_TRIED, len(theirs["enums"]))):
            assert btf.enumerators(enum) == theirs["enums"][enum]
        base = base or btf
    assert base is not None
