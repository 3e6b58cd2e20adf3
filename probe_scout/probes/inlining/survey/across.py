"""What surveys of one architecture foretell of another: how often it came true, and whose names mean what.

Inlining differs by architecture: sizes, alignment, assembler in headers. So only pairs that were measured are foretold,
and of these only sorts of predictions that came true more often than not.
"""

from __future__ import annotations

from ....arch import row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIDENCE_MIN = 0.5
# Measured: Debian's arm64 builds of 6.1, 6.12 and 7.3, names of vmlinux, foretold from the shipped four of amd64
# (tests/tools/make_survey.py --across). A key is predict.Guess, a value asked, right and exact, as format.Share has it.
SHARES: Mapping[tuple[str, str], Mapping[tuple[str, str, str], tuple[int, int, int]]] = {
    ("x86_64", "aarch64"): {
        ("no", "full", "all"): (57129, 48286, 48286),
        ("no", "full", "divided"): (2050, 1336, 1336),
        ("no", "full", "most"): (36982, 25009, 25009),
        ("no", "gone", "all"): (2803, 2108, 2108),
        ("no", "gone", "divided"): (572, 393, 393),
        ("no", "gone", "most"): (3943, 2417, 2417),
        ("no", "transformed", "all"): (1302, 1092, 1092),
        ("no", "transformed", "most"): (1383, 946, 946),
        ("unknown", "full", "all"): (57876, 48286, 48286),
        ("unknown", "full", "divided"): (5481, 3447, 3447),
        ("unknown", "full", "most"): (33555, 22084, 22084),
        ("unknown", "gone", "all"): (3117, 2108, 2108),
        ("unknown", "gone", "divided"): (732, 494, 494),
        ("unknown", "gone", "most"): (3897, 2277, 2277),
        ("unknown", "no", "all"): (85359, 69362, 69198),
        ("unknown", "no", "divided"): (10845, 6798, 6299),
        ("unknown", "no", "most"): (37581, 23551, 23440),
        ("unknown", "partial", "all"): (4962, 4058, 4047),
        ("unknown", "partial", "most"): (2166, 1327, 1324),
        ("unknown", "partial + clone", "all"): (174, 134, 134),
        ("unknown", "partial + clone", "most"): (54, 35, 29),
        ("unknown", "self only", "all"): (2829, 2303, 2208),
        ("unknown", "self only", "divided"): (2562, 1847, 1149),
        ("unknown", "self only", "most"): (1149, 743, 703),
        ("unknown", "transformed", "all"): (1332, 1092, 1092),
        ("unknown", "transformed", "divided"): (1059, 541, 541),
        ("unknown", "transformed", "most"): (960, 599, 599),
        ("yes", "no", "all"): (70269, 69362, 69198),
        ("yes", "no", "divided"): (3549, 3254, 2788),
        ("yes", "no", "few"): (7501, 7371, 7333),
        ("yes", "no", "most"): (27049, 26760, 26618),
        ("yes", "partial", "all"): (4357, 4058, 4047),
        ("yes", "partial", "divided"): (2247, 1311, 1279),
        ("yes", "partial", "few"): (664, 590, 585),
        ("yes", "partial", "most"): (1933, 1781, 1772),
        ("yes", "partial + clone", "all"): (141, 134, 134),
        ("yes", "partial + clone", "divided"): (153, 93, 83),
        ("yes", "partial + clone", "few"): (24, 22, 21),
        ("yes", "partial + clone", "most"): (64, 63, 52),
        ("yes", "self only", "all"): (2322, 2303, 2208),
        ("yes", "self only", "divided"): (1736, 1686, 998),
        ("yes", "self only", "few"): (348, 333, 293),
        ("yes", "self only", "most"): (906, 895, 839),
    },
}


def name_there(symbol: str, machine: str, to: str) -> str:
    """What the other architecture calls a function; "" for what only the first one has: calls of 32-bit programs."""
    prefix, other = (f"{row(one).syscall_prefix}sys_" for one in (machine, to))
    if symbol.startswith(prefix):
        return other + symbol.removeprefix(prefix)
    return "" if machine == "x86_64" and symbol.startswith(("__ia32_", "__x64_compat_")) else symbol
