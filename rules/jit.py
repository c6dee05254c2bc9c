"""How the interpreter is compiled: numba, with its cache kept by what the sources say.

Numba looks only at the file of a function to tell whether its cached code is still good, not at
the functions that it calls. So the cache's folder is named after a hash of all compiled sources.
This module reads those files once, at import; nothing else in this package touches the disk.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba
from numba import njit

#: Arguments of `njit` for every compiled function of the product.
KERNEL = {"cache": True, "error_model": "numpy", "_nrt": False}

_ROOT = Path(__file__).parent
_SOURCES = [_ROOT / f"{name}.py" for name in (
    "jit", "layout", "compile", "ring", "held", "samples", "since", "state", "interpret", "machine", "vm",
)] + sorted((_ROOT.parent / "streams").glob("scan*.py"))  # fmt: skip


def _cache_folder() -> str:
    base = os.environ.get("TOCSIN_CACHE") or str(Path.home() / ".cache" / "tocsin")
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return str(Path(base) / "numba" / digest.hexdigest()[:16])


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = _cache_folder()

kernel = njit(**KERNEL)
kernel_inline = njit(**KERNEL, forceinline=True)
