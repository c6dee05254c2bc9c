"""The wall clock, for the loops: the core is given the time."""

from __future__ import annotations

import time


def wall() -> int:
    """By the clock of this machine, ms since 1970."""
    return time.time_ns() // 1_000_000
