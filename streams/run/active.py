"""Which rules are active, as the topic `rules` says: packs by their hash, and the active one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from streams.duty import SHADOW, Edition, EditionError
from streams.run.logs import Logs
from streams.run.topic_bodies import MAX_ASSET, MAX_PACK, BodyError, Pack, read
from streams.run.topic_bodies import Active as Said

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Activated:
    """The active rules, who made them so, and by which request."""

    edition: Edition
    by: str
    request: str


def shadowed(edition: Edition) -> Edition:
    """The same rules, all in shadow: their alarms are recorded, and nobody is told."""
    rules = tuple(replace(rule, shadow=True) for rule in edition.pack.rules)
    return Edition(replace(edition.pack, rules=rules), edition.texts, edition.name + SHADOW)


class Editions(Mapping[str, Edition]):
    """The packs that the topic holds, by name, with their twins in shadow. Each is read once."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}
        self._read: dict[str, Edition] = {}

    def put(self, name: str, value: bytes | None) -> None:
        """A pack as the topic has it; None: it is gone."""
        if value is None:
            self._texts.pop(name, None)
        elif len(value):
            self._texts[name] = value

    def __getitem__(self, name: str) -> Edition:
        """Raises KeyError, and EditionError for texts that are no rules."""
        if name not in self._read:
            if name.endswith(SHADOW):
                self._read[name] = shadowed(self[name.removesuffix(SHADOW)])
            else:
                self._read[name] = _edition(name, self._texts[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _edition(name: str, value: bytes) -> Edition:
    try:
        pack = read(value, Pack, MAX_PACK)
    except BodyError as error:
        raise EditionError(f"pack {name}: not as a pack is written: {error}") from None
    edition = Edition.of(pack.texts)
    if edition.name != name:
        raise EditionError(f"pack {name}: its texts are those of {edition.name}")
    return edition


class Active:
    """Follows the topic. `now` is what is active, None as long as nothing is."""

    def __init__(self, logs: Logs, topic: str) -> None:
        self._logs, self._topic = logs, topic
        self._next = 0
        self.editions = Editions()
        self.now: Activated | None = None

    async def follow(self) -> bool:
        """Reads what is new; whether another pack is active now. Raises LogError."""
        _, end = await self._logs.bounds(self._topic, 0)
        before, newest = self.now, b""
        async for records in self._logs.read(self._topic, 0, self._next, end):
            for record in records:
                newest = self._take(record) or newest
        self._next = max(self._next, end)
        if newest:
            self._activate(newest)
        return self.now is not before

    def _take(self, record: Any) -> bytes:  # noqa: ANN401 - of the client
        """The value of `active`, if it is that."""
        key = (record.key or b"").decode("utf-8", "replace")
        if key.startswith("pack/"):
            self.editions.put(key.removeprefix("pack/"), record.value)
        return record.value or b"" if key == "active" else b""

    def _activate(self, value: bytes) -> None:
        """Takes over what is said to be active; what cannot be used leaves all as it was."""
        try:
            said = read(value, Said, MAX_ASSET)
            name = said.pack + (SHADOW if said.shadow else "")
            edition = self.editions[name]
        except (BodyError, EditionError, KeyError) as error:
            log.warning("%s: what is to be active cannot be used: %s", self._topic, error)
            return
        self.now = Activated(edition, said.by, said.request)


def pack_value(edition: Edition) -> bytes:
    """The value of a pack on the topic."""
    files = [[path, text.decode()] for path, text in edition.texts]
    return json.dumps({"files": files}, ensure_ascii=False).encode()
