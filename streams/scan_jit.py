"""How the loops of intake are compiled: as the interpreter's, but without counting references.

They get all arrays from their caller and make none, so there is nothing to count; numba would do it
at each access to an array in a named tuple, which takes three times as long as the work itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from rules.jit import KERNEL

F = TypeVar("F", bound=Callable[..., object])

_OPTIONS: dict[str, Any] = {**KERNEL, "_nrt": False}


def compiled(function: F) -> F:
    """A loop that Python calls; other threads run meanwhile."""
    made: F = njit(**_OPTIONS, nogil=True)(function)
    return made


def inlined(function: F) -> F:
    """A part of such a loop, put in where it is called."""
    made: F = njit(**_OPTIONS, forceinline=True)(function)
    return made
