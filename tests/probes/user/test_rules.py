"""rules/uprobe.py beside the recorded answers of five kernels: kinds of files, odd offsets, places in programs.

The kernels are made small again by what each of them shows (its features); tests/vm boots real ones.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from probe_scout.arch import x86_uprobe
from probe_scout.model.traits import UserTraits
from probe_scout.probes.user import code
from probe_scout.probes.user.report import of_traits

RECORDED = Path(__file__).parent / "recorded"
TRUTH = Path(__file__).parents[4] / "shared" / "truth" / "uprobes"
ERRNO = {
    None: 0,
    "ENOENT": 2,
    "ESRCH": 3,
    "EIO": 5,
    "E2BIG": 7,
    "ENOEXEC": 8,
    "EBADF": 9,
    "EINVAL": 22,
    "ENAMETOOLONG": 36,
    "ELOOP": 40,
    "ENOTSUPP": 524,
}
OLD = ("BPF_TRACE_FENTRY_MULTI", "insn_is_nop", "arch_uprobe_optimize", "inat_get_xop_attribute")
KERNELS = {  # what each recorded kernel has not
    "5.10": (*OLD, "__x64_sys_uretprobe", "BPF_LSM_CGROUP", "BPF_TRACE_UPROBE_MULTI", "BPF_TRACE_UPROBE_SESSION"),
    "6.1": (*OLD, "__x64_sys_uretprobe", "BPF_TRACE_UPROBE_MULTI", "BPF_TRACE_UPROBE_SESSION"),
    "6.12": (*OLD, "BPF_TRACE_UPROBE_SESSION"),
    "6.18": OLD[:2],
    "7.3": (),
}
_ACCEPTED = (
    *("regular", "no permission bits", "symlink", "tmpfs", "ramfs", "memfd", "relative path", "file open for writing"),
    *("its lower file", "/proc/PID/exe", "/proc/PID/root/PATH", "deleted file through /proc/PID/fd", "noexec mount"),
    *("sysfs file", "sysfs BTF", "ref_ctr 33 bits", "ref_ctr behind end of file", "ref_ctr even, in code"),
)
_TRAITS: dict[str, dict[str, object]] = {
    "missing|dangling symlink|path of 4095 bytes": {"path": "missing"},
    "directory|fifo|socket|char device /dev/null|block device": {"regular": False},
    "proc file /proc/version|proc file of a process /proc/self/maps|tracefs file|hugetlbfs": {"no_page_cache": True},
    "offset = size|empty file": {"at_end": True},
    "offset = size+1|offset 1<<62": {"past_end": True},
    "offset negative": {"negative": True},
    "ref_ctr odd": {"counter_odd": True},
    "symlink loop": {"path": "loop"},
    "name of 256 bytes": {"path": "long_name"},
    "path of 4097 bytes": {"path_too_long": True},
}
CASES: dict[str, dict[str, object]] = {
    **{name: {} for name in _ACCEPTED},
    **{name: traits for names, traits in _TRAITS.items() for name in names.split("|")},
}
# Their answers hang on what the guest had mounted: a control group and an overlay that one kernel had and others not.
NOT_ASKED = ("cgroup file", "overlay")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    from probe_scout.kernel.kernel import Kernel
    from probe_scout.sources import open_source
    from tests.builders.tiny_kernel import tiny_files
    from tests.builders.tree import write_tree

    made = {}
    for name, without in KERNELS.items():
        root = tmp_path_factory.mktemp(name.replace(".", "_"))
        write_tree(root, tiny_files(symbols=("foo",), without=without))
        made[name] = Kernel(open_source(str(root)))
    return made


def test_kinds_of_files(kernels):
    lines = (RECORDED / "files.tsv").read_text().splitlines()[1:]
    asked = 0
    wrong = []
    for line in lines:
        case, attach, mapped, errno, names = line.split("\t")
        if "(tracefs)" in attach or case in NOT_ASKED:  # tracefs is no attach type of its own
            continue
        traits = UserTraits(mapped=mapped == "before", **CASES[case])
        for name in names.split():
            asked += 1
            found = of_traits(kernels[name], traits, attach)
            if found.answer == "unknown" or ERRNO[found.errno] != int(errno):
                wrong.append(f"{name} {attach} {case} {mapped}: {errno}, here {found.answer} {found.errno}")
    assert asked > 600
    assert not wrong


def test_kernels_have_the_decoder_that_answered(kernels):
    from tests.arch.test_x86_uprobe import EDITIONS

    for name, k in kernels.items():
        assert EDITIONS[name] in code.editions(k)
        assert len(code.editions(k)) <= 2


def test_places_in_programs(kernels):
    """Every recorded place: errno with the file mapped before and after, and the ends of files."""
    path = TRUTH / "attach.jsonl.gz"
    if not path.is_file():
        pytest.skip("the recorded answers are not beside the repository")
    outcomes: dict[tuple[str, str, UserTraits], int] = {}
    wrong, asked, unsure = [], 0, 0
    for line in gzip.open(path, "rt"):
        row = json.loads(line)
        name = ".".join(row["kernel"].split(".")[:2])
        here = [
            x86_uprobe.analyze(bytes.fromhex(row["bytes"]), row["bits"] == 64, edition, 4096 - row["offset"] % 4096)
            for edition in code.editions(kernels[name])
        ]
        asked += 1
        if len({one.refused for one in here}) > 1:
            unsure += 1
            continue
        end = row["place"] if row["kind"] == "end" else ""
        refused = "" if end.startswith("offset") else here[0].refused
        traits = UserTraits(
            mapped=row["mapped"] == "before",
            refused=refused,
            at_end=end == "offset = size",
            past_end=end == "offset = size+1",
        )
        key = (name, row["type"], traits)
        if key not in outcomes:
            outcomes[key] = ERRNO[of_traits(kernels[name], traits, row["type"]).errno]
        if outcomes[key] != row["errno"]:
            wrong.append(f"{line[:150]} here {outcomes[key]}")
    assert asked == 12_490
    assert unsure == 0
    assert not wrong
