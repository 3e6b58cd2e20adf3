"""The inputs of an audit: read into types, wrong values told by their place, written as they were."""

from __future__ import annotations

import json

import pytest

from probe_scout.commands.audit import record
from probe_scout.errors import Malformed

from .conftest import inputs, link, perf, process, program

WHOLE = inputs(
    programs=[program(1)],
    links=[
        link(5, "kprobe_multi", 1, addresses=[1, 2], cookies=None, is_return=False),
        link(6, "uprobe_multi", 1, path="/bin/x", offsets=[16, None]),
        link(7, "netfilter", 1, pf=2, hook=1, priority=-100, flags=0),
    ],
    maps=[{"id": 3, "type": 26, "name": "ops", "value_type_id": 9, "state": 1, "words": [1]}],
    perf=[perf(10, 3, 1, "kprobe", "vfs_read")],
    events=[{"pid": 10, "fd": 4}],
    holders=[[10, 4, "link", 5]],
    pins=[{"path": "/sys/fs/bpf/x", "kind": "link", "id": 5}],
    gaps=[{"fact": "pins", "kind": "denied", "why": "EPERM", "cure": ""}],
    btfs={"2": {"id": 2, "name": "vmlinux", "is_kernels": True}},
    processes=[process(10)],
    files={"10:/bin/x": {"state": "there", "changed_s": 1.5, "places": {"16": {"is_code": True, "symbol": "main"}}}},
    cgroups=[{"cgroup_id": 1, "path": "/a", "attach_type": "lsm_cgroup", "prog_ids": [1]}],
    netns=[{"ino": 4, "attach_type": "sk_lookup", "prog_ids": [1]}],
    net=[
        {
            "ino": 4,
            "interfaces": [
                {
                    "ifindex": 2,
                    "name": "eth0",
                    "xdp": [{"mode": "native", "prog_id": 1}],
                    "tc": [{"kind": "filter", "hook": "ingress", "prog_id": 1}],
                    "hooks": [{"attach_type": "tcx_ingress", "prog_ids": [1]}],
                }
            ],
        }
    ],
    symbols={"1": ["vfs_read", None, 0]},
    enabled_events={"kprobes/x": True},
    livepatches=[[None, "vfs_read", "patch"]],
    arguments={"1": [["struct_pointer", "file", "struct file *f"]]},
)


def test_what_is_told_and_what_is_not():
    found = record.read(WHOLE)
    assert found.links[0].addresses == (1, 2)
    assert (found.links[0].cookies, found.links[0].path) == (None, None)
    assert found.links[1].offsets == (16, None)
    assert found.holders[0] == record.Holder(10, 4, "link", 5)
    assert found.files["10:/bin/x"].places["16"].symbol == "main"
    assert found.net is not None
    assert found.net[0].interfaces[0].hooks[0].prog_ids == [1]
    assert found.loaded_s(found.programs[0]) == WHOLE["now_s"] - 50
    assert record.read({}).net is None


def test_a_hook_gives_a_program_once():
    (hook,) = record.read(WHOLE).cgroups
    assert not hook.take(2, "lsm_cgroup", 1)
    assert hook.take(1, "lsm_cgroup", 1)
    assert not hook.take(1, "lsm_cgroup", 1)


def test_the_file_is_written_as_it_is_read():
    assert record.parse(record.write(WHOLE)) == json.loads(json.dumps(WHOLE))


def values(value, path=()):
    """Every place of a document that holds a plain value."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from values(one, (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from values(one, (*path, at))
    else:
        yield path


def changed(path, value):
    document = json.loads(json.dumps(WHOLE))
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return document


# Values that no audit looks at: they are kept as they are.
UNREAD = {"schema", "flags", "type", "net", "hook", "id"}


@pytest.mark.parametrize("path", [path for path in values(WHOLE) if path[-1] not in UNREAD], ids=str)
def test_a_value_of_another_type_is_told_by_its_place(path):
    with pytest.raises(Malformed) as told:
        record.read(changed(path, {"a": []}))
    assert path[0] in str(told.value) or str(path[-1]) in str(told.value)


@pytest.mark.parametrize("key", [key for key in WHOLE if key not in ("schema", "now_s", "boot_ns")])
def test_a_section_of_another_type_is_told(key):
    with pytest.raises(Malformed):
        record.read({**WHOLE, key: 7})


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"[]", b'{"schema": "probe-scout/audit-inputs/2"}'])
def test_what_is_no_document(raw):
    with pytest.raises(Malformed):
        record.parse(raw)
