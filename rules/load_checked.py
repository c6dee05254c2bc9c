"""Expressions of one class, checked once: the same text in another rule is not parsed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from rules import expression
from rules.errors import Problems
from rules.expression import Scope, SourceText, Typed
from rules.tree import Expr

Check = Callable[[SourceText, Scope, Problems], object]


class Expressions:
    """What expressions mean in a scope. Only what was found right is remembered: a mistake is
    reported at each place where it stands."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._known: dict[tuple[str, str, str], object] = {}

    def condition(self, source: SourceText, problems: Problems) -> Expr | None:
        """See `expression.condition`."""
        return cast("Expr | None", self._once("condition", source, expression.condition, problems))

    def value(self, source: SourceText, problems: Problems) -> Typed | None:
        """See `expression.value`."""
        return cast("Typed | None", self._once("value", source, expression.value, problems))

    def duration(self, source: SourceText, problems: Problems) -> Expr | None:
        """See `expression.duration`."""
        return cast("Expr | None", self._once("duration", source, expression.duration, problems))

    def when(self, source: SourceText, deadband: SourceText | None,
             problems: Problems) -> tuple[Expr, Expr | None] | None:
        """See `expression.condition_with_deadband`."""
        key = ("when", source.text, deadband.text if deadband is not None else "")
        if key in self._known:
            return cast("tuple[Expr, Expr | None]", self._known[key])
        made = expression.condition_with_deadband(source, deadband, self.scope, problems)
        if made is not None and (deadband is None or made[1] is not None):
            self._known[key] = made
        return made

    def _once(self, kind: str, source: SourceText, check: Check,
              problems: Problems) -> object:
        key = (kind, source.text, "")
        if key in self._known:
            return self._known[key]
        made = check(source, self.scope, problems)
        if made is not None:
            self._known[key] = made
        return made
