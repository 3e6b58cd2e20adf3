"""Words that compilers put behind a function's name: `f.isra.0`, `f.cold`, `f.llvm.123`.

GCC: ipa-sra.cc (isra), ipa-cp.cc (constprop), ipa-split.cc (part), bb-reorder.cc (cold), lto (lto_priv, localalias).
LLVM: FunctionSpecialization (specialized), FunctionImportUtils (llvm), HotColdSplitting (cold).
"""

from __future__ import annotations

# Parameters may have been changed or taken away.
CHANGED = ("isra", "constprop", "specialized")
# A part of a function, entered by calls (part) or by jumps alone (cold).
PART, COLD = "part", "cold"
# A second symbol or a new name for the whole function.
RENAMED = ("llvm", "lto_priv", "localalias")
ALL = (*CHANGED, PART, COLD, *RENAMED)
