"""Allow lists: which rows a line fits, what is told of the others, and damaged lists."""

from __future__ import annotations

import json
import os

import pytest

from probe_scout.commands.audit import allow
from probe_scout.errors import UsageError
from probe_scout.model.audit import Attachment, Loaded, Owner, ProgramRef

ROW = Attachment(
    "cgroup",
    "/system.slice",
    hook="cgroup_device",
    prog=ProgramRef(7, "cgroup_device", "sd_devices", "aa", None, 0),
    owners=(Owner(1, "systemd", 5, exe="/lib/systemd/systemd", user="root"), Owner(9, "agent", 3, user="root")),
    pins=("/sys/fs/bpf/a",),
)


def lines(text):
    return allow.lines(text.splitlines(), "list")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("attach=cgroup", True),
        ("attach=cgroup program=sd_* hook=cgroup_device tag=aa prog_uid=0 type=cgroup_device", True),
        ("attach=cgroup program=sd_fw", False),
        ("target='/system.slice' user=root pin=/sys/fs/bpf/*", True),
        ("comm=systemd", False),  # the other owner is somebody else
        ("exe=/lib/*", False),  # that of the other owner is not told
        ("exe=*", True),
        ("netns=*", True),
        ("netns=?*", False),
        ("event=x", False),
        ("# attach=cgroup", False),
        ("attach=cgroup  # all of them", True),
        ("attach=CGROUP", False),
    ],
)
def test_which_rows_a_line_fits(line, expected):
    assert allow.is_allowed(ROW, lines(line)) is expected


def test_one_line_of_several_is_enough():
    assert allow.is_allowed(ROW, lines("attach=xdp\n\nattach=cgroup\n"))
    assert not allow.is_allowed(ROW, ())


def test_a_function_of_a_module():
    row = Attachment("fentry", "xfs_read", "xfs", 0)
    assert allow.is_allowed(row, lines("target=xfs:*"))
    assert allow.is_allowed(row, lines("target=xfs_read"))
    assert not allow.is_allowed(row, lines("target=ext4:*"))


def test_every_program_of_a_struct_ops_must_fit():
    row = Attachment("struct_ops", "x", programs=(ProgramRef(1, None, "a", "aa"), ProgramRef(2, None, "b", "bb")))
    assert allow.is_allowed(row, lines("program=[ab]"))
    assert not allow.is_allowed(row, lines("program=a"))
    assert not allow.is_allowed(Attachment("ftrace", "x"), lines("program=a"))


def test_no_owner_is_no_owner_that_fits():
    loaded = Loaded(ProgramRef(1, "xdp", "x", "aa"), (), ())
    assert allow.is_allowed(loaded.as_attachment(), lines("attach=loaded type=xdp"))
    assert not allow.is_allowed(loaded.as_attachment(), lines("comm=a"))


@pytest.mark.parametrize("text", ["cgroup", "=x", "kind=cgroup", "attach='cgroup", "ok", "attach=a b"])
def test_lines_that_are_none_are_named(text):
    with pytest.raises(UsageError, match=r"^--allow list: line 2: "):
        lines("attach=x\n" + text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=f"^--allow {tmp_path}/none: No such file or directory$"):
        allow.read(str(tmp_path / "none"))
    (tmp_path / "odd").write_bytes(b"target=\xff*\n")
    assert len(allow.read(str(tmp_path / "odd"))) == 1


@pytest.mark.parametrize(("more", "is_read"), [(0, True), (1, False)])
def test_a_file_that_is_no_list(tmp_path, monkeypatch, more, is_read):
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, (16 << 20) + more)
    monkeypatch.setattr(allow, "lines", lambda text, path: ())
    if is_read:
        assert allow.read(str(path)) == ()
    else:
        with pytest.raises(UsageError, match=f"^--allow {path}: larger than 16 MiB, not a list$"):
            allow.read(str(path))


def test_what_is_allowed_is_left_out(audited):
    from .conftest import inputs

    loaded = tuple(Loaded(ProgramRef(number, "xdp", name, "aa"), (), ()) for number, name in enumerate("ab"))
    report = audited(inputs())._replace(attachments=(ROW, ROW._replace(attach="xdp")), loaded=loaded)
    left = allow.without(report, lines("attach=cgroup\nattach=loaded program=a"))
    assert ([one.attach for one in left.attachments], [one.prog.name for one in left.loaded]) == (["xdp"], ["b"])


def test_the_evidence_is_a_line_that_allows_the_row(audited):
    from .test_command import given

    report = audited(given())
    odd = report.attachments[0]._replace(target="vfs [x] * 'y'?", owners=())
    report = report._replace(attachments=(odd,), loaded=(Loaded(ProgramRef(5, "xdp", "p q", None), (), ()),))
    told = allow.told(report, ())
    found = [*told.attachments[0].findings, *told.loaded[0].findings]
    assert [(one.check, one.level) for one in found] == [("audit.not_allowed", "warning")] * 2
    again = allow.told(report, lines("\n".join(one.evidence for one in found)))
    assert again == report
    assert not allow.is_allowed(odd._replace(target="vfs x * 'y'?"), lines(found[0].evidence))


def test_the_command(asked, tmp_path):
    from .test_command import given

    listed = tmp_path / "list"
    listed.write_text("attach=kprobe target=vfs_read comm=agent\n")
    assert asked(given(), "--allow", str(listed))[0] == 0
    code, said = asked(given(pid=20), "--allow", str(listed))
    assert (code, "audit.not_allowed" in said.out) == (1, True)
    assert "attach=kprobe target=vfs_read program=on_read tag=00112233445566ff" in said.out
    code, said = asked(given(pid=20), "--allow", str(tmp_path / "none"))
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    for more in ("--allow", "--quiet"):
        words = [more, str(listed)] if more == "--allow" else [more]
        assert asked(given(), "--watch", "5", *words)[0] == 2


def test_what_is_allowed_is_not_compared(asked, tmp_path):
    from .conftest import inputs
    from .test_command import given

    listed, old = tmp_path / "list", tmp_path / "old.json"
    listed.write_text("attach=kprobe comm=agent\n")
    old.write_text(asked(given(), "--json")[1].out)
    words = ("--diff", str(old), "--allow", str(listed), "--format", "ndjson")
    assert asked(inputs(), *words)[0] == 0
    assert asked(given(count=3), *words)[0] == 0
    code, said = asked(given(pid=20), *words)
    assert (code, json.loads(said.out)["change"]) == (1, "appeared")
