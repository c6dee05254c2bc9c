"""What `streams.attend` may say of a change besides what each has: fields of `Change`, by name."""

from __future__ import annotations

from typing import TypedDict

from rules.records import Held, Transition


class Author(TypedDict, total=False):
    """Who ordered a change, and why."""

    by: str
    reason: str
    request: str


class Begin(TypedDict, total=False):
    """The plan that begins with a change."""

    plan: str
    clocks: dict[str, int]
    closing: bool


class More(Author, Begin, total=False):
    """What else a change may say (see `rules.records.Change`)."""

    held: Held
    step: str
    fields: dict[str, str]
    skipped: tuple[str, ...]
    until: int | None
    once: bool
    notify: tuple[str, ...]
    floor: int
    condition: Transition | None
