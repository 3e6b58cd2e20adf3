"""probe-scout: does this kernel accept a probe here, why not, and what instead.

The front door for programs. Names are looked up on first use, because the command line must not
pay for what it does not ask.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .frontends.session import OpenKernel as OpenKernel
    from .frontends.session import open_kernel as open_kernel

__version__ = "0.1.0"
__all__ = ["OpenKernel", "__version__", "open_kernel"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from .frontends import session as api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
