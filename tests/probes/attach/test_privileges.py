"""What the present caller may do, from its own files."""

from __future__ import annotations

import pytest

from probe_scout.errors import UsageError
from probe_scout.kernel.kernel import Kernel
from probe_scout.probes.attach import privileges
from tests.builders.tiny_kernel import BTF, Changed

# include/uapi/linux/capability.h
SYS_ADMIN, PERFMON, BPF = 1 << 21, 1 << 38, 1 << 39
PRIVILEGES = ("may_bpf", "may_perfmon", "may_perf", "may_admin")


class Live(Changed):
    def describe(self):
        return self.source.describe()._replace(kind="live")


SUPPOSED = (*PRIVILEGES, "may_net", "may_boot")
NONE, ALL = (False,) * 6, (True,) * 5


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("none", NONE),
        ("bpf", (True, *NONE[1:])),
        ("CAP_BPF, perfmon", (True, True, True, False, False, False)),
        ("Cap_Net_Admin", (False, False, False, False, True, False)),
        ("sys_boot", (*NONE[:5], True)),
        ("sys_admin", (*ALL, False)),
        ("sys_admin,sys_boot", (*ALL, True)),
        ("chown", NONE),
        ("token", (True, True, False, False, True, False)),
    ],
)
def test_a_supposed_caller(tiny_kernel, text, may):
    """sys_admin stands for each but sys_boot. A token hands over what bpf_token_capable asks it for."""
    files = {"proc/sys/kernel/perf_event_paranoid": b"2\n"}
    kernel = tiny_kernel(("foo",), files=files, typed=("BPF_TOKEN_CREATE",))._kernel  # BTF has the name
    allowed = privileges.supposed(kernel, text)
    assert tuple(allowed(flag) for flag in SUPPOSED) == may


@pytest.mark.parametrize(("changed", "known"), [({}, False), ({"denied": (BTF,)}, None)])
def test_a_token_is_what_this_kernel_knows_of_it(tiny_kernel, changed, known):
    allowed = privileges.supposed(tiny_kernel(("foo",), **changed)._kernel, "token")
    assert [allowed(flag) for flag in ("may_bpf", "may_perfmon", "may_net", "may_admin")] == [known] * 3 + [False]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("token", None),
        ("none", frozenset()),
        ("bpf,CAP_PERFMON, bpf", {"CAP_BPF", "CAP_PERFMON"}),
    ],
)
def test_names_of_capabilities(text, names):
    assert privileges.capabilities(text) == names


@pytest.mark.parametrize("text", ["bfp", "", "bpf,", "cap_", "none,bpf", "token,bpf", "CAP_CAP_BPF"])
def test_a_capability_that_does_not_exist_is_named(text):
    word = next(word for word in text.split(",") if word.lower() not in ("bpf",))
    with pytest.raises(UsageError, match=f"^--caps '{word}' is no capability"):
        privileges.capabilities(text)


@pytest.fixture
def rights(tiny_kernel):
    def ask(capabilities, paranoid=b"2\n", uid_map=b"         0          0 4294967295\n"):
        ids = b"Uid:\t1000\t1000\t1000\t1000\n"
        given = {
            "proc/self/status": None if capabilities is None else ids + b"CapEff:\t%016x\n" % capabilities,
            "proc/self/uid_map": uid_map,
            "proc/sys/kernel/perf_event_paranoid": paranoid,
        }
        files = {path: raw for path, raw in given.items() if raw is not None}
        may = privileges.present(Kernel(Live(tiny_kernel(("foo",), files=files)._kernel.source)))
        return tuple(may(privilege) for privilege in PRIVILEGES)

    return ask


@pytest.mark.parametrize(
    ("capabilities", "may"),
    [
        (0, (False, False, False, False)),
        (BPF, (True, False, False, False)),
        (PERFMON, (False, True, True, False)),
        (BPF | PERFMON, (True, True, True, False)),
        (SYS_ADMIN, (True, True, True, True)),
        (None, (None, None, None, None)),
    ],
)
def test_rights_are_those_of_the_effective_set(rights, capabilities, may):
    assert rights(capabilities) == may


@pytest.mark.parametrize(
    ("paranoid", "may"),
    [(b"-1\n", True), (b"2\n", True), (b"3\n", None), (b"4\n", None), (None, None), (b"no number\n", None)],
)
def test_above_two_distributions_differ(rights, paranoid, may):
    """Upstream takes 3 for 2; Debian's and Ubuntu's kernels demand CAP_SYS_ADMIN from 3 on."""
    assert rights(BPF | PERFMON, paranoid) == (True, True, may, False)
    assert rights(SYS_ADMIN, paranoid)[2] is True


@pytest.mark.parametrize("uid_map", [b"0 1000 1\n", b"0 0 4294967294\n", b""])
def test_rights_inside_another_user_namespace_do_not_count(rights, uid_map):
    assert rights(SYS_ADMIN | BPF, uid_map=uid_map) == (False, False, False, False)


def test_a_snapshot_has_no_present_caller(tiny_kernel):
    with pytest.raises(UsageError, match="--as-me asks about the present caller"):
        privileges.present(tiny_kernel(("foo",))._kernel)
