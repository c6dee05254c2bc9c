"""Which alerts are told on which channels, and what a notice of them says. Pure.

A channel tells of an alert that is announced and of one of its kinds, when
- the alarm's severity is at least the channel's and its rule, tags, place and desk fit; or
- it has told of this alarm before: whoever heard of an alarm hears how it goes on and that it has
  ended, also when it is blue by then; or
- it is an `overdue` that notifies one of the channel's roles, whatever the rest says.
An end is told exactly where the alarm was told, also when nobody is told of the rest any more (it
was shelved meanwhile). Every alert is a notice of its own: raised,
cleared and raised again are three, at any rate of sending.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from connectors.notify.base import Kind, Notice, Settings
from rules.model import SEVERITIES, Text
from streams.render import KIND, LANGUAGES, SEVERITY

KINDS: tuple[Kind, ...] = ("raised", "level", "overdue", "returned", "cleared")
USUAL: tuple[Kind, ...] = ("raised", "level", "overdue", "cleared")
_OVERDUE = Text("超时未处置", "overdue")


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as configured: `type` as in `connectors.notify.table`, to whom of what.

    Empty filters take everything; several filters must all fit, of one filter any entry. `rules`
    are ids or `prefix.*`. `secrets` are texts that nothing may show.
    """

    name: str
    type: str
    settings: Settings
    per_minute: int
    least: int = 3                              # 1 blue to 4 red
    kinds: frozenset[str] = frozenset(USUAL)
    rules: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    desks: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = field(default=(), repr=False)


#: Whether a channel (by name) has told of an alarm (by id) whose end it has not told.
Told = Callable[[str, str], bool]


def for_channels(
    content: Mapping[str, Any], channels: Iterable[Channel], told: Told
) -> list[Channel]:
    """The channels that tell of a record of the ledger."""
    if content.get("type", "alert") != "alert" or content.get("kind") not in KINDS:
        return []
    if not content["announced"] and content["kind"] != "cleared":
        return []
    return [channel for channel in channels if _tells(channel, content, told)]


def _tells(channel: Channel, content: Mapping[str, Any], told: Told) -> bool:
    kind = content["kind"]
    if kind == "overdue" and not channel.roles.isdisjoint(content.get("notify", ())):
        return True
    if kind not in channel.kinds:
        return False
    if told(channel.name, content["alarm"]):
        return True
    return kind not in ("returned", "cleared") and _fits(channel, content)


def _fits(channel: Channel, content: Mapping[str, Any]) -> bool:
    return (
        SEVERITIES[content["severity"]] >= channel.least
        and (not channel.rules or any(_matches(content["rule"], r) for r in channel.rules))
        and (not channel.tags or not channel.tags.isdisjoint(content.get("tags", ())))
        and (not channel.places or content.get("place") in channel.places)
        and (not channel.desks or content.get("desk") in channel.desks)
    )


def _matches(rule: str, pattern: str) -> bool:
    return rule.startswith(pattern[:-1]) if pattern.endswith(".*") else rule == pattern


def notice(
    content: Mapping[str, Any],
    body: bytes,
    zone: ZoneInfo,
    earlier: tuple[tuple[int, int], ...] = (),
) -> Notice:
    """The notice of an alert. `body` is its record; `earlier` see `Notice`."""
    word = KIND.get(content["kind"], _OVERDUE)
    colour = SEVERITY[SEVERITIES[content["severity"]]]
    return Notice(
        alarm=content["alarm"],
        seq=content["seq"],
        kind=content["kind"],
        severity=content["severity"],
        t_ms=content["t_ms"],
        since_ms=content["since_ms"],
        zone=zone,
        asset=content["asset"],
        rule=content["rule"],
        title=content["title"],
        text=content["text"],
        kind_word={language: word.get(language) for language in LANGUAGES},
        severity_word={language: colour.get(language) for language in LANGUAGES},
        evidence={
            language: " · ".join(item[language] for item in content.get("evidence", ()))
            for language in LANGUAGES
        },
        place=content.get("place", ""),
        plan=content.get("plan", ""),
        step=content.get("step", "") if content["kind"] == "overdue" else "",
        body=body,
        earlier=earlier,
    )
