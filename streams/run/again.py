"""Running again what was kept: after a stop, and to prove that an alarm of the past was right.

The messages kept, and the commands and activations that the ledger holds, give the same records
once more: each order takes effect at the instant at which it did, before what came later.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from rules.records import Message
from streams.contents import Content, asset_of, command_of
from streams.duty import Duty, Edition
from streams.ledger import Chain, Record
from streams.store import Snapshot, Store, StoreError


class Editions(Mapping[str, Edition]):
    """The editions that a store keeps, by name; each is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, Edition] = {}

    def __getitem__(self, name: str) -> Edition:
        if name not in self._read:
            self._read[name] = Edition.of(self._store.pack_files(name))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def resumed(store: Store, snapshot: Snapshot | None) -> tuple[Duty, int, list[Content]]:
    """The duty as of a snapshot (None: as it began), the number of the ledger's last record by
    then, and what it says at once. Raises StoreError and ValueError."""
    first = _first(store)
    editions, zone = Editions(store), first["zone"]
    if snapshot is not None:
        return Duty.restore(editions, snapshot.state, zone), snapshot.n, []
    duty = Duty(editions[first["pack"]], zone, store.inventory(first["inventory"]), first["t_ms"])
    return duty, 0, duty.begin(first["by"])


def _first(store: Store) -> dict[str, Any]:
    record = next(store.records(), None)
    if record is None:
        raise StoreError(f"{store.path}: its ledger is empty")
    found: dict[str, Any] = json.loads(record.body)
    return found


def played_again(store: Store, duty: Duty, n: int) -> Iterator[list[Content]]:
    """Plays what was kept after the duty's clock, `n` being the last record by then.

    Yields contents as they come, in the ledger's order; at the end the duty stands where the last
    messages or order have brought it.
    """
    editions = Editions(store)
    orders: deque[dict[str, Any]] = deque()
    for record in store.records(after=n):
        content = json.loads(record.body)
        if content["type"] == "command" or (content["type"] == "activation" and record.n > 1):
            orders.append(content)
    for kept in store.readings(after=duty.clock):
        yield from _until(duty, orders, kept.position, editions)
        yield duty.play(kept.messages, kept.position)
    while orders:
        yield from _until(duty, orders, orders[0]["t_ms"], editions)


def _until(
    duty: Duty, orders: deque[dict[str, Any]], position: int, editions: Editions
) -> Iterator[list[Content]]:
    """The orders that took effect up to and with the instant `position`, each at its own."""
    none: list[Message] = []
    while orders and orders[0]["t_ms"] <= position:
        order = orders.popleft()
        if duty.clock < order["t_ms"] - 1:
            yield duty.play(none, order["t_ms"] - 1)
        if order["type"] == "command":
            yield duty.command(command_of(order))[1]
        elif "assets" in order:
            put = [asset_of(asset) for asset in order["assets"]]
            yield duty.stock(put, order["removed"], order["by"], order["request"])
        else:
            yield duty.activate(editions[order["pack"]], order["by"], order["request"])


def again(store: Store, upto: int | None = None, since: int | None = None) -> Iterator[Record]:
    """Runs the ledger again, from the newest base before the instant `since` (ms) or the beginning.

    Yields the records that it makes: the same as the ledger's, or something was changed. `upto`:
    the number of the last record wanted. Raises StoreError when the messages are no longer kept.
    """
    base = store.base(since) if since is not None else None
    trimmed = store.fact("trimmed")
    if trimmed is not None and (base is None or base.position < int(trimmed)):
        raise StoreError(f"{store.path}: the messages before that instant are no longer kept")
    duty, n, contents = resumed(store, base)
    chain = Chain(n, _hash(store, n)) if n else Chain()
    for made in _chunks(contents, store, duty, n):
        for content in made:
            yield chain.append(content)
            if chain.n == upto:
                return


def _chunks(first: list[Content], store: Store, duty: Duty, n: int) -> Iterator[list[Content]]:
    yield first
    yield from played_again(store, duty, n)


def _hash(store: Store, n: int) -> bytes:
    record = next(store.records(after=n - 1), None)
    if record is None or record.n != n:
        raise StoreError(f"{store.path}: record {n} is missing")
    return record.hash
