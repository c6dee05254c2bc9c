"""Which rules are active, as the topic `rules` says: packs by their hash, and the active one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from streams.duty import SHADOW, Edition, EditionError
from streams.run.logs import Following, Logs
from streams.run.topic_bodies import ACTIVE, MAX_ASSET, MAX_PACK, PACK, BodyError, Pack, read
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

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """A record of the topic, of a pack or another; without a value the pack is gone."""
        if key is None or not key.startswith(PACK):
            return
        name = key.removeprefix(PACK).decode("utf-8", "replace")
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
        self._topic = Following(logs, topic)
        self.editions = Editions()
        self.now: Activated | None = None

    async def follow(self) -> bool:
        """Reads what is new; whether another pack is active now. Raises LogError."""
        before, newest = self.now, b""
        async for record in self._topic.more():
            self.editions.take(record.key, record.value)
            if record.key == ACTIVE:
                newest = record.value or newest
        if newest:
            self._activate(newest)
        return self.now is not before

    def _activate(self, value: bytes) -> None:
        """Takes over what is said to be active; what cannot be used leaves all as it was."""
        try:
            said = read(value, Said, MAX_ASSET)
            name = said.pack + (SHADOW if said.shadow else "")
            edition = self.editions[name]
        except (BodyError, EditionError, KeyError) as error:
            log.warning("%s: what is to be active cannot be used: %s", self._topic.name, error)
            return
        self.now = Activated(edition, said.by, said.request)
