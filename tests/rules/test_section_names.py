"""From which libbpf on a section name is known."""

from __future__ import annotations

import pytest

from probe_scout.rules import section_names


@pytest.mark.parametrize(
    ("section", "since"),
    [
        ("uprobe.multi/x", (1, 3)),
        ("uretprobe.multi/x", (1, 3)),
        ("kprobe.session/x", (1, 5)),
        ("uprobe.session/x", (1, 6)),
        ("tp.s/a/b", (1, 8)),
        ("cgroup/connect_unix", (1, 3)),
        ("usdt.s/x", (1, 3)),
        ("sk_skb/verdict", (1, 4)),
        ("struct_ops.s/x", (1, 2)),
    ],
)
def test_a_name_is_known_from_its_libbpf_on(section, since):
    major, minor = since
    assert section_names.of(section, since) is not None
    assert section_names.of(section, (major, minor - 1)) is None
    assert section_names.of(f"?{section}", since) is not None
