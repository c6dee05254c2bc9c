"""How the interpreter is compiled: numba, with its cache kept by what the sources say.

Numba looks only at the file of a function to tell whether its cached code is still good, not at
the functions that it calls. So the cache's folder is named after a hash of all compiled sources.
This module reads those files once, at import; nothing else in this package touches the disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numba import njit
from numba.core import config

F = TypeVar("F", bound=Callable[..., object])


class Compile(Protocol):
    """A decorator that compiles a function and leaves its type alone."""

    def __call__(self, function: F, /) -> F:
        """The compiled function."""
        ...


_ROOT = Path(__file__).parent
_SOURCES = [_ROOT / f"{name}.py" for name in (
    "jit", "layout", "compile", "ring", "panes", "held", "samples", "since", "state", "interpret",
    "machine", "memory", "vm",
)] + sorted((_ROOT.parent / "streams").glob("scan*.py"))  # fmt: skip


def _cache_folder() -> str:
    base = os.environ.get("TOCSIN_CACHE") or str(Path.home() / ".cache" / "tocsin")
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return str(Path(base) / "numba" / digest.hexdigest()[:16])


if not os.environ.get("NUMBA_CACHE_DIR"):
    config.CACHE_DIR = _cache_folder()  # type: ignore[attr-defined]

# Without reference counts (`_nrt`, an inner option of numba): arrays are handed in and nothing is
# allocated, and counting took most of the time. Division by zero gives inf or NaN, as in numpy.
KERNEL: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}

#: For every compiled function of the rules.
kernel = cast("Compile", njit(**KERNEL))
#: For functions that take a program and a memory whole and are called from one place: handing all
#: their arrays over costs more than a rule.
kernel_inline = cast("Compile", njit(**KERNEL, forceinline=True))

#: A number of whatever width as the one that all loops take, so that each is compiled once.
wide = cast("Callable[[int], int]", np.int64)
