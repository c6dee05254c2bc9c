"""Messages in, arrays out: what the engine may use of what was sent, and why not the rest. Pure.

Every message and every value is either in the batch or counted under a reason of the closed list
`streams.reasons.Reason` (and the first of them are kept). A value that is known to be no good is a
sample without value: NaN in the batch, and counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rules import records
from rules.model import Pack
from streams.assets import Assets
from streams.decode import decode, from_message
from streams.readings import KEPT_BYTES, Draft, Mine, Readings, Record, Refused
from streams.reasons import Reason
from streams.scan import Scanner, Taken

__all__ = ["Batch", "Intake", "Reason", "Refused", "Scanned"]


#: The compiled loop is slow to come (seconds, or a moment from numba's cache), so it comes when so
#: many bytes have been read that it pays: a test or a short file does without it.
PAYS_FROM = 1 << 18


@dataclass(frozen=True, eq=False)
class Batch:
    """Messages as arrays, in order of arrival; n messages with k values.

    asset:    int32[n]    — index in Assets
    t:        int64[n] ms — source time
    first:    int32[n+1]  — the values of message i are first[i] … first[i+1]-1
    slot:     int32[k]    — what the value is of: AssetClass.slots() or .event_slots()
    value:    float64[k]  — in the signal's unit, 0/1, a state's code; NaN: sample without value
    position: int64[n]    — of the record it came in

    A signal of events gives its own slot with a hash of the set of codes as sent (≥ 0; NaN: bad),
    and directly after it 1.0 for the slot of each listed code.
    """

    asset: npt.NDArray[np.int32]
    t: npt.NDArray[np.int64]
    first: npt.NDArray[np.int32]
    slot: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    position: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.asset)


@dataclass(frozen=True, eq=False)
class Scanned:
    """What came of one call: the batch, the first KEPT refusals, and all of them by reason."""

    batch: Batch
    refused: list[Refused]
    counts: Counter[Reason]


class Intake:
    """Decodes and checks messages for the classes of a pack, against a registry of assets.

    `unknown_assets`: an asset first heard is taken in ("accept": its message must name its class
    unless the pack has only one) or refused ("reject"). `mine`: one that does not belong here is
    refused in any case; only an asset that is not known yet is asked about.
    """

    def __init__(
        self,
        pack: Pack,
        assets: Assets,
        unknown_assets: Literal["accept", "reject"] = "accept",
        mine: Mine | None = None,
    ) -> None:
        classes = [pack.classes[name] for name in assets.classes]
        self._readings = Readings(assets, classes, unknown_assets == "accept", mine)
        self._scanner = Scanner(assets, classes)
        self._heard = 0

    def prepare(self) -> None:
        """Have the fast way ready now, rather than when it first pays."""
        self._heard = PAYS_FROM
        self._scanner.scan([b"{}"], None)

    def scan(
        self, data: bytes | list[bytes], now: int | None = None, position0: int = 0
    ) -> Scanned:
        """Messages in bytes: one buffer with a record a line (empty lines are skipped), or records.

        Record number i has position `position0 + i`; the messages of an array share one. `now` (ms)
        is when the records arrived, where a message does not say so itself.
        """
        self._heard += len(data) if isinstance(data, bytes) else sum(map(len, data))
        if self._heard < PAYS_FROM:
            return self.scan_slowly(data, now, position0)
        taken = self._scanner.scan(data, now)
        draft = Draft()
        for line, one in taken.rest:
            self._take_slowly(Record(line, position0 + line, one, now), draft)
        return Scanned(_merged(taken, draft, position0), draft.refused, draft.counts)

    def scan_slowly(
        self, data: bytes | list[bytes], now: int | None = None, position0: int = 0
    ) -> Scanned:
        """What `scan` does, without its fast way: the twin that it is held against."""
        draft = Draft()
        records = data if isinstance(data, list) else data.split(b"\n")
        for line, one in enumerate(records):
            if isinstance(data, list) or one.strip(b" \t\r"):
                self._take_slowly(Record(line, position0 + line, one, now), draft)
        return Scanned(_batch(draft, position0), draft.refused, draft.counts)

    def _take_slowly(self, record: Record, draft: Draft) -> None:
        for reading in decode(record.data):
            self._readings.take(reading, record, draft)

    def messages(
        self, messages: list[records.Message], now: int | None = None, position0: int = 0
    ) -> Scanned:
        """Messages in plain values, by the same rules; message i has position `position0 + i`."""
        draft = Draft()
        for line, message in enumerate(messages):
            record = Record(line, position0 + line, repr(message).encode()[:KEPT_BYTES], now)
            self._readings.take(from_message(message), record, draft)
        return Scanned(_batch(draft, position0), draft.refused, draft.counts)


def _batch(draft: Draft, position0: int) -> Batch:
    first = np.zeros(len(draft.size) + 1, np.int32)
    np.cumsum(np.array(draft.size, np.int32), out=first[1:])
    return Batch(
        asset=np.array(draft.asset, np.int32),
        t=np.array(draft.t, np.int64),
        first=first,
        slot=np.array(draft.slot, np.int32),
        value=np.array(draft.value, np.float64),
        position=np.array(draft.line, np.int64) + position0,
    )


def _merged(taken: Taken, draft: Draft, position0: int) -> Batch:
    """The messages of both ways in order of their records."""
    if not draft.line:
        return Batch(
            asset=taken.asset,
            t=taken.t,
            first=taken.first,
            slot=taken.slot,
            value=taken.value,
            position=taken.line + position0,
        )
    line = np.concatenate([taken.line, np.array(draft.line, np.int64)])
    size = np.concatenate([np.diff(taken.first), np.array(draft.size, np.int64)])
    order = np.argsort(line, kind="stable")
    begin = np.cumsum(size) - size
    first = np.zeros(len(line) + 1, np.int32)
    np.cumsum(size[order], out=first[1:])
    # value j of message i comes from begin[order[i]] + j
    source = np.repeat(begin[order] - first[:-1], size[order]) + np.arange(first[-1])
    return Batch(
        asset=np.concatenate([taken.asset, np.array(draft.asset, np.int32)])[order],
        t=np.concatenate([taken.t, np.array(draft.t, np.int64)])[order],
        first=first,
        slot=np.concatenate([taken.slot, np.array(draft.slot, np.int32)])[source],
        value=np.concatenate([taken.value, np.array(draft.value, np.float64)])[source],
        position=line[order] + position0,
    )
