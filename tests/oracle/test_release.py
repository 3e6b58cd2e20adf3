"""No release number decides: a recorded kernel whose release is nonsense, wherever it stands, gets the same verdicts.

Every release and version string is replaced by one of the same length in every file, in the names of files and in
the manifest. The rows of `scan` over all functions, and the events' answers, must be equal byte by byte.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile

import pytest

from probe_scout.frontends.session import OpenKernel
from tests.oracle import scoreboard

KERNELS = scoreboard.kernels()
# All functions in the whole lane; by default those with an `a` in the third place, about one in twenty.
IS_WHOLE = os.environ.get("PROBE_SCOUT_ORACLE") == "whole"
GLOB = "*" if IS_WHOLE else "??a*"
# The oldest and the newest by default.
NAMES = list(KERNELS) if IS_WHOLE else sorted({*list(KERNELS)[:1], *list(KERNELS)[-1:]})


def nonsense(text: str) -> str:
    """Digits become others, letters too, signs stay: 6.12.107+deb13-amd64 is 0.00.000+zzz00-zzzz00."""
    return re.sub("[0-9]", "0", re.sub("[A-Za-z]", "z", text))


def disguised(raw: bytes) -> tuple[bytes, dict[str, str]]:
    """The archive with other release strings, and what was replaced by what."""
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        members = {m.name: file.read() for m in tar if m.isfile() and (file := tar.extractfile(m))}
    manifest = json.loads(members["manifest.json"])
    version = re.search(rb"Debian (\S+) \(", members.get("proc/version", b""))
    package = version[1].decode() if version else ""
    strings = {manifest["release"], package, package.partition("-")[0]}
    match = re.match(r"\d+\.\d+(\.\d+)?", manifest["release"])
    assert match
    if len(match[0].split(".")) == 3:
        strings.add(match[0])
    swaps = {text: nonsense(text) for text in sorted(strings - {""}, key=len, reverse=True)}
    manifest["files"] = {}
    members["manifest.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            for old, new in swaps.items():
                name, content = name.replace(old, new), content.replace(old.encode(), new.encode())
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue(), swaps


def verdicts(path: str) -> list[bytes]:
    """The rows of scan, and what every fiftieth event is told."""
    kernel = OpenKernel(path)
    rows = list(kernel.scan_ndjson(GLOB))
    for event in sorted(kernel.tracepoint("*:*a").events, key=str)[::50]:
        rows.append(str(event).encode())
    return rows


@pytest.mark.oracle
@pytest.mark.parametrize("name", NAMES)
def test_a_nonsense_release_changes_no_verdict(name, tmp_path):
    snapshot = KERNELS[name][0]
    raw, swaps = disguised(snapshot.read_bytes())
    path = tmp_path / "disguised.tar"
    path.write_bytes(raw)
    for old in swaps:
        assert old.encode() not in raw
    told = OpenKernel(str(path))._kernel.release()
    assert set(told) <= set("z0.+-"), told
    with_nonsense, plain = verdicts(str(path)), verdicts(str(snapshot))
    assert len(plain) > 1000
    assert with_nonsense == plain
