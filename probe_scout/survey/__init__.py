"""What inlining did to functions in kernels whose debug information was read before: names, and one class for each.

Exact for a build that was surveyed. For another build a prediction, with the share of such predictions that came true.
"""

from __future__ import annotations

from .lookup import Entry, Surveyed, lookup, paths, state, surveyed

__all__ = ["Entry", "Surveyed", "lookup", "paths", "state", "surveyed"]
