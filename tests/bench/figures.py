"""A line of the report, and the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    what: str
    value: float
    unit: str
    baseline: str = ""
    against: float = 0.0
    goal: str = ""

    @property
    def ratio(self) -> float:
        """How often the baseline's figure goes into ours."""
        return self.value / self.against if self.against else 0.0


def report(figures: Iterable[Figure]) -> str:
    """The figures as a table."""
    lines = []
    for one in figures:
        value = f"{one.value:,.0f}" if one.value >= 100 else f"{one.value:,.2f}"
        line = f"{one.what:<48}{value:>14} {one.unit:<11}"
        if one.against:
            line += f" {one.ratio:7.2f} x {one.baseline}"
        lines.append(line + (f"  (goal {one.goal})" if one.goal else ""))
    return "\n".join(lines)
