"""What connectors and the streams hand each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an asset as plain values (bytes take the fast way). Times are ms since 1970.

    A value is a number, bool, state's name or code, list of codes or names, or None (bad quality).
    """

    asset: str
    cls: str
    t: int
    values: dict[str, object]
    arrival: int | None = None
    historical: bool = False
