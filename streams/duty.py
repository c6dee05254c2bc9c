"""A site on duty: rules, groups and the lifecycle of alarms behind one set of methods. Pure.

All that happens comes in by `play` (messages and time), `command` and `activate`, and goes out as
contents of records (`streams.contents`), in the order in which the ledger keeps them. The same
calls give the same contents, at any pace: `play` may be called with any split of the time. Commands
and activations take effect at the first instant that has not been played.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from rules.load import load_texts
from rules.model import Asset, Pack
from rules.records import Change, Command, Message, Refusal, Transition
from streams.alarms import alarm_id
from streams.assets import AssetError
from streams.attend import Alarms
from streams.contents import Content, Contents, asset_content, command_content
from streams.ledger import canonical
from streams.listing import rows
from streams.render import rfc3339
from streams.site import Site

#: Results of commands that are kept, so that a request that comes twice is carried out once.
MAX_REQUESTS = 10_000
#: Assets of one change of the inventory, which is one record and is played again as one.
MAX_STOCK = 1_000
FORMAT = 2
#: After the name of an edition: all its rules in shadow, so that people are told of no alarm.
SHADOW = "+shadow"


class EditionError(ValueError):
    """Texts that are no rules: its text is one problem a line."""


@dataclass(frozen=True)
class Edition:
    """Rules as they were at a time: the pack, its texts, and the hash of those, which names it."""

    pack: Pack
    texts: tuple[tuple[str, bytes], ...]
    name: str

    @classmethod
    def of(cls, texts: Sequence[tuple[str, bytes]]) -> Edition:
        """The edition that (path, text) pairs make. Raises EditionError."""
        loaded = load_texts(texts)
        if loaded.pack is None:
            wrong = [str(problem) for problem in loaded.problems if problem.kind == "error"]
            raise EditionError("\n".join([f"{len(wrong)} error(s) in the rules:", *wrong]))
        return cls(loaded.pack, tuple(texts), pack_hash(texts))


def pack_hash(texts: Iterable[tuple[str, bytes]]) -> str:
    """The name of an edition: the first 64 bits of SHA-256 over paths and texts, in hex."""
    digest = sha256()
    for path, text in texts:
        for part in (path.encode(), text):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def inventory_hash(inventory: Iterable[Asset]) -> str:
    """The name of an inventory, likewise."""
    plain = [[x.id, x.cls, x.attributes, x.overrides] for x in inventory]
    return sha256(canonical({"inventory": plain})).hexdigest()[:16]


class Duty:
    """One site. `start` (ms) is when its inventory begins; the first `play` comes after it."""

    def __init__(
        self,
        edition: Edition,
        zone: str = "UTC",
        inventory: Sequence[Asset] = (),
        start: int = 0,
        site: Site | None = None,
    ) -> None:
        self.edition, self.zone, self.inventory = edition, zone, tuple(inventory)
        self.site = site or Site(edition.pack, zone, inventory, start)
        self.alarms = Alarms(edition.pack, self._class_of)
        self.contents = Contents(edition.pack, self._class_of, self.site.attribute)
        self.clock = start - 1     # all up to and with this instant has been played
        self.taken = 0             # messages
        self.results: dict[str, Content] = {}     # of orders, by request
        self._gone: dict[str, str] = {}     # asset -> class, of classes that are no more

    def _class_of(self, asset: str) -> str | None:
        return self.site.class_of(asset) or self._gone.get(asset)

    # In ---------------------------------------------------------------------------------------

    def begin(self, by: str) -> list[Content]:
        """The first record: which rules hold."""
        return [self._activation(self.clock + 1, by, "")]

    def play(self, messages: Sequence[Message], to: int) -> list[Content]:
        """Takes messages in their order and runs all instants up to and with `to`.

        The messages are those whose turn has come by then, and no others: a message comes when the
        greatest time so far is no later than `to`.
        """
        turns, newest = [], self.clock
        for message in messages:
            newest = max(newest, message.t)
            turns.append(newest)
        made = self.site.messages(messages) + self.site.run_until(to)
        before, self.clock, self.taken = self.taken, to, self.taken + len(messages)
        changes = self._changes(made) + self.alarms.advance(to)
        changes.sort(key=lambda x: (x.t, x.asset, x.rule))     # stable: the same at any pace
        return [self.contents.alert(x, before + bisect_right(turns, x.t)) for x in changes]

    def _changes(self, made: list[Transition]) -> list[Change]:
        made.sort(key=lambda x: (x.t, x.asset, x.rule))
        return self.alarms.take(made)

    def command(self, command: Command, t: int | None = None) -> tuple[Content, list[Content]]:
        """Carries out an order at `t`: its result, and the records.

        Unless given, `t` is the first instant not yet played. A request that was answered before
        is answered the same again, without records.
        """
        known = self.results.get(command.request)
        if command.request and known is not None:
            return known, []
        t = self.clock + 1 if t is None else t
        key, occurrence = self.alarms.about(command)
        refusal, changes = self.alarms.order(command, t)
        if refusal is None:
            refusal, changes = self._engine(command, key, t, changes)
        alarm = alarm_id(*key, occurrence.raised) if occurrence is not None else ""
        result: Content = {
            "result": "accepted" if refusal is None else "refused",
            "why": "" if refusal is None else refusal.reason, "alarm": alarm,
        }  # fmt: skip
        if command.alarm and key[0]:
            result |= {"rule": key[0], "asset": key[1]}
        made = [command_content(command, t, result), *self._alerts(changes)]
        seq = occurrence.seq - 1 if occurrence is not None else None
        answer = {**result, "request": command.request, "seq": seq, "t_ms": t}
        if command.request:
            self.results[command.request] = answer
            if len(self.results) > MAX_REQUESTS:
                del self.results[next(iter(self.results))]
        return answer, made

    def _engine(
        self, command: Command, key: tuple[str, str], t: int, changes: list[Change]
    ) -> tuple[Refusal | None, list[Change]]:
        """What the engine and the groups have to do for a command that is legal."""
        if command.kind == "set":
            refusal, made = self.site.command(command, t)
        elif command.kind in ("reset", "acknowledge", "step"):
            point = self.alarms.book.points[key]
            order = Command(command.kind, key[0], key[1], group=point.group, step=command.step)
            refusal, made = self.site.command(order, t)
            if command.kind != "reset":
                refusal = None     # nothing to do for it there: its alarm has ended
        else:
            return None, changes
        return refusal, changes + self._changes(made)

    def activate(
        self, edition: Edition, by: str = "", request: str = "", t: int | None = None
    ) -> list[Content]:
        """An edited pack takes over at `t`; unless given, the first instant not yet played."""
        t = self.clock + 1 if t is None else t
        classes = {asset: self.site.class_of(asset) or "" for asset in self.site.assets}
        self._gone = {a: cls for a, cls in classes.items() if cls not in edition.pack.classes}
        done = self.site.activate(edition.pack, t)
        made = self._alerts(self._changes(list(done.transitions)))
        self.edition = edition
        made += self._alerts(self.alarms.activate(edition.pack, t))
        self.contents.use(edition.pack)
        anew = self._activation(t, by, request) | {"anew": list(done.anew), "gone": list(done.gone)}
        return [anew, *made]

    def _alerts(self, changes: list[Change]) -> list[Content]:
        """The contents of changes that come with what has been taken by now."""
        return [self.contents.alert(x, self._position()) for x in changes]

    def _position(self) -> object:
        """What has been taken by now."""
        return self.taken

    def stock(
        self, put: Sequence[Asset], gone: Sequence[str], by: str = "", request: str = "",
        t: int | None = None,
    ) -> list[Content]:
        """The inventory changes at `t`; unless given, the first instant not yet played. First
        `gone` leave, then `put` come in or are changed; one whose class changes leaves first.

        The record holds `put` in full, so that it can be played again; who keeps texts of rules
        keeps `inventory` under its new hash, too. Raises AssetError, having changed nothing, for an
        asset that cannot be, or more than MAX_STOCK of them.
        """
        if len(put) + len(gone) > MAX_STOCK:
            raise AssetError(f"{len(put) + len(gone):,} assets at once; at most {MAX_STOCK:,}")
        t, class_of = self.clock + 1 if t is None else t, self.site.class_of
        leaving = {*gone, *(x.id for x in put if class_of(x.id) not in (None, x.cls))}
        self.site.engine.check(put, leaving)
        made = self._leave(leaving, t)
        made += self._alerts(self._changes(self.site.enter(put, t)))
        self.inventory = self.site.inventory
        record = self._activation(t, by, request) | {
            "assets": [asset_content(asset) for asset in put], "removed": list(gone),
        }  # fmt: skip
        return [record, *made]

    def _leave(self, assets: set[str], t: int) -> list[Content]:
        """Assets go: their alarms end, and are written as of the asset that was; shelves and
        service of their points end too."""
        if not assets:
            return []
        before = self._gone
        was = before | {x: cls for x in assets if (cls := self.site.class_of(x)) is not None}
        said = dict(self.contents.said)
        left = self.site.leave(assets, t)
        self._gone = was
        changes = self._changes(left)
        self._gone = before     # from now on unknown, so that no rule is theirs
        changes += self.alarms.activate(self.edition.pack, t)
        self._gone = was
        made = self._alerts(changes)
        self._gone = before
        for content in made:        # the attributes are gone, and those at the desk want the end
            alarm = content["alarm"]
            lost: Content = {
                key: value for key, value in said.get(alarm, {}).items()
                if key in ("place", "desk") and key not in content
            }  # fmt: skip
            content.update(lost)
            self.contents.said.get(alarm, {}).update(lost)
        return made

    def _activation(self, t: int, by: str, request: str) -> Content:
        return {
            "type": "activation", "t_ms": t, "time": rfc3339(t), "by": by, "request": request,
            "pack": self.edition.name, "inventory": inventory_hash(self.inventory),
            "zone": self.zone, "anew": [], "gone": [],
        }  # fmt: skip

    # Out --------------------------------------------------------------------------------------

    def alarms_list(self) -> list[dict[str, Any]]:
        """What operators see: a row for each open occurrence, and each point that is covered."""
        return rows(self.alarms, self.contents)

    def snapshot(self) -> bytes:
        """All state."""
        said = {key: self.contents.said[key] for key in self.alarms.book.ids}
        self.contents.said = said
        return msgspec.msgpack.encode([
            FORMAT, self.edition.name, self.site.snapshot(), self.alarms.state(), said,
            list(self.results.items()), self.clock, self.taken,
        ])  # fmt: skip

    @classmethod
    def restore(cls, editions: Mapping[str, Edition], data: bytes, zone: str = "UTC") -> Duty:
        """The duty as it was, under the edition that held then. Raises ValueError."""
        try:
            form, name, site, alarms, said, results, clock, taken = msgspec.msgpack.decode(data)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise ValueError(f"not the snapshot of a duty: {error}") from None
        if form != FORMAT:
            raise ValueError(f"a snapshot of format {form!r}, expected {FORMAT}")
        edition = editions[name]
        held = Site.restore(edition.pack, site, zone)
        duty = cls(edition, zone, held.inventory, site=held)
        duty.alarms.restore(alarms)
        duty.contents.said = said
        duty.results = dict(results)
        duty.clock, duty.taken = clock, taken
        return duty
