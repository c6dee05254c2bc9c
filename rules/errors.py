"""What is wrong with rules, said to their author.

    RulesError                 root of what this package raises
    ├── Invalid(text, fix)     a text that cannot be understood; whoever knows the place reports it
    └── Refused(problems)      a pack with errors, all of them

A `Problem` names what was found and what was expected; `Problems` gathers all of one load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from rules.model import Pos

ProblemKind = Literal["error", "lint"]


@dataclass(frozen=True)
class Problem:
    """One finding: where, what was found and expected, and the likely fix."""

    at: Pos
    message: str
    fix: str = ""
    kind: ProblemKind = "error"

    def __str__(self) -> str:
        fix = f"; {self.fix}" if self.fix else ""
        return f"{self.at.path}:{self.at.line}:{self.at.column}: {self.message}{fix}"


class Problems:
    """Collects the problems of one load; the same problem found twice is kept once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def add(self, at: Pos, message: str, fix: str = "", kind: ProblemKind = "error") -> None:
        """Notes a problem."""
        self._found.setdefault(Problem(at, message, fix, kind))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Notes several."""
        for problem in problems:
            self._found.setdefault(problem)

    @property
    def has_errors(self) -> bool:
        """Whether anything is to be refused (lint findings are not)."""
        return any(problem.kind == "error" for problem in self._found)

    def sorted(self) -> list[Problem]:
        """Errors first, then lint; each by file, line and column."""
        return sorted(
            self._found,
            key=lambda p: (p.kind != "error", p.at.path, p.at.line, p.at.column, p.message),
        )

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class RulesError(Exception):
    """The root of what this package raises."""


class Invalid(RulesError, ValueError):  # noqa: N818 — what is invalid is the text
    """A text that cannot be understood. `column` counts characters from 0 within that text."""

    def __init__(self, message: str, fix: str = "", column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.column = column


class Refused(RulesError):  # noqa: N818 — what was done with the pack
    """A pack with errors."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def near(name: str, names: Iterable[str]) -> str:
    """The likely fix for a misspelt name: "did you mean `level`?", or nothing."""
    close = get_close_matches(name, list(names), n=3, cutoff=0.6)
    if not close:
        return ""
    return "did you mean " + " or ".join(f"`{other}`" for other in close) + "?"
