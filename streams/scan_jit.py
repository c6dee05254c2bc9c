"""How the loops of intake are compiled: as the interpreter's (`rules.jit`), and typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from rules.jit import KERNEL

F = TypeVar("F", bound=Callable[..., object])

_OPTIONS: dict[str, Any] = dict(KERNEL)


def compiled(function: F) -> F:
    """A loop that Python calls; other threads run meanwhile."""
    made: F = njit(**_OPTIONS, nogil=True)(function)
    return made


def inlined(function: F) -> F:
    """A part of such a loop, put in where it is called."""
    made: F = njit(**_OPTIONS, forceinline=True)(function)
    return made
