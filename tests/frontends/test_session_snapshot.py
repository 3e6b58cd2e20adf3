"""Which snapshots keep the first bytes of functions: by default those of a running machine, where code can be read."""

from __future__ import annotations

import io
import tarfile

import pytest

from probe_scout.commands import audit
from probe_scout.errors import UsageError
from probe_scout.frontends.session import OpenKernel
from probe_scout.kernel import text
from probe_scout.kernel.kernel import Kernel
from probe_scout.sources.folder import FolderSource

MEMBER = "code/slices"


def kernel(root, kind):
    """A session whose source says that it is of this kind."""

    class Source(FolderSource):
        def describe(self):
            return super().describe()._replace(kind=kind)

    session = OpenKernel(str(root))
    session._opened = Kernel(Source(str(root), "root"))
    return session


def members(session, **how):
    """Names and bytes of the archive that the session writes."""
    stream = io.BytesIO()
    session.snapshot("-", stream=stream, **how)
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}


@pytest.fixture
def code(monkeypatch):
    """The machine's code: bytes, or why it cannot be read; and how often it was asked for."""
    asked = []
    state = {"found": b"slices", "asked": asked}

    def slices(k):
        asked.append(k)
        if isinstance(state["found"], Exception):
            raise state["found"]
        return state["found"]

    monkeypatch.setattr(text, "slices_for_snapshot", slices)
    monkeypatch.setattr(audit, "saved", lambda k: {})  # of a running kernel, bpf(2) is asked
    return state


@pytest.mark.parametrize("kind", ["live", "image"])
def test_a_kernel_whose_code_can_be_read_has_it_kept_without_an_option(tiny_folder, code, kind):
    assert members(kernel(tiny_folder(("vfs_read",)), kind))[MEMBER] == b"slices"


def test_code_that_cannot_be_read_is_left_out_and_no_error_unless_it_was_asked_for(tiny_folder, code):
    code["found"] = UsageError("no code here")
    session = kernel(tiny_folder(("vfs_read",)), "live")
    assert MEMBER not in members(session)
    with pytest.raises(UsageError, match="no code here"):
        members(session, with_code=True)
    assert len(code["asked"]) == 2


@pytest.mark.parametrize("kind", ["snapshot", "root"])
def test_of_a_tree_of_files_code_is_read_on_demand_alone(tiny_folder, code, kind):
    """The code of another machine is not this one's to read: --vmlinux and --with-code name it."""
    session = kernel(tiny_folder(("vfs_read",)), kind)
    assert MEMBER not in members(session)
    assert code["asked"] == []
    assert members(session, with_code=True)[MEMBER] == b"slices"
