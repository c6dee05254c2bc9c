"""`tocsin notify`: tells people of the alarms of a fleet on Kafka; a process of its own.

    alerts ─ Box: position and outbox in one transaction ─► Sender: a thread for each channel
    Sender.health ─► readings, as asset notify.NAME of class tocsin_channel: its failing is an alarm

One thread follows `alerts`, one tells how the channels do, the sender has its own: what one waits
for holds up no other. Without Kafka, what waits is sent on, and reading goes on where it was when
Kafka is back. Without a channel, its notices wait; the others are told.

There is one notifier: whoever told of an alarm has to tell of its end, and that it did stands in
its file. A second one with the same folder is refused.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from connectors.kafka import DeniedError, KafkaError, LinkError, Producer, Record, RefusedError
from connectors.kafka_follow import Follower
from rules.records import Message
from streams.notices import Channel
from streams.run.clock import wall
from streams.run.notify_box import Box
from streams.run.sender import Sender
from streams.settings import Kafka
from streams.store import StoreError
from streams.topics import name_of

RETRY_S = 1.0       # between tries to reach Kafka, or to write a file that is busy
COMMIT_S = 1.0      # between positions told to Kafka
LOOK_S = 0.2        # an end is noticed within
END_S = 0.5         # for what is under way with Kafka to end; all of it may be cut off

T = TypeVar("T")


class NotifyError(Exception):
    """It cannot go on, and trying again is of no use; its text says what to do."""


@dataclass(frozen=True)
class NotifySettings:
    """Options of `tocsin notify`. `since_ms`: from when alerts are told when it is first started;
    None: from then on."""

    kafka: Kafka = field(repr=False)
    channels: tuple[Channel, ...] = field(repr=False)
    folder: Path
    zone: ZoneInfo
    since_ms: int | None = None


class Notifier:
    """The threads. `run` blocks until `stop` is called or something is wrong for good."""

    def __init__(self, settings: NotifySettings) -> None:
        """Raises StoreError."""
        self._settings, self._client = settings, settings.kafka.client()
        self._topic = name_of(settings.kafka.prefix, "alerts")
        self._readings = name_of(settings.kafka.prefix, "readings")
        self._box = Box(settings.folder, self._topic)
        self._sender = Sender(self._box.path, settings.channels, settings.zone)
        self._stop = threading.Event()
        self._fault: Exception | None = None
        self._said: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in (("notify alerts", self._follow), ("notify health", self._tell))
        ]

    def stop(self, *_: object) -> None:
        """Asks for the end; at any time, from any thread or a signal."""
        self._stop.set()

    def run(self) -> None:
        """Tells until it is stopped, which takes 2 s at most. Raises StoreError, NotifyError."""
        if dropped := self._sender.start():
            self._say("dropped", f"{dropped} notices waited for channels that are no more: dropped")
        for thread in self._threads:
            thread.start()
        self._stop.wait()
        until = time.monotonic() + END_S
        self._sender.close()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):  # else it ends with the process
            self._box.close()
        if self._fault is not None:
            known = isinstance(self._fault, (KafkaError, NotifyError))
            said = "" if known else f"a fault of ours: {type(self._fault).__name__}: "
            raise NotifyError(f"{said}{self._fault}") from None

    def _guarded(self, work: Callable[[], None]) -> None:
        """A thread: what is wrong for good ends all."""
        while not self._stop.is_set():
            try:
                work()
            except LinkError as error:
                self._say(work.__name__, f"{error}; trying again")
                self._stop.wait(RETRY_S)
            except Exception as error:  # noqa: BLE001 - the main thread tells it
                self._fault = error
                self._stop.set()

    def _say(self, about: str, text: str) -> None:
        """A line for people, unless it has just been said."""
        if self._said.get(about) != text:
            self._said[about] = text
            sys.stderr.write(f"tocsin notify: {text}\n")

    # Alerts --------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Takes what comes, until it is stopped. Raises LinkError when Kafka is away."""
        group = f"{self._settings.kafka.prefix}-notify"
        with Follower(self._client, self._topic, group) as source:
            self._seek(source)
            self._say("_follow", f"reads {self._topic}")
            told, at = 0.0, dict(self._box.positions)
            while not self._stop.is_set():
                if records := source.poll():
                    self._take(records)
                if at != self._box.positions and time.monotonic() - told >= COMMIT_S:
                    told, at = time.monotonic(), dict(self._box.positions)
                    source.commit({partition: one.next for partition, one in at.items()})

    def _seek(self, source: Follower) -> None:
        """To where this notifier was; at first, to where it begins."""
        kept, box, since_ms = source.range(), self._box, self._settings.since_ms
        if new := [partition for partition in source.partitions if partition not in box.positions]:
            begun = {partition: end for partition, (_, end) in kept.items()}
            begun |= source.committed() if since_ms is None else source.since(since_ms)
            self._kept(lambda: box.begin({partition: begun[partition] for partition in new}))
            if self._stop.is_set():
                return
        offsets = {}
        for partition, at in box.positions.items():
            first, end = kept.get(partition, (0, 0))
            if at.next > end:
                raise NotifyError(
                    f"{self._topic}: partition {partition} ends at {end}, and {at.next} had been "
                    "read: the topic was made anew; choose another folder with --folder")
            if at.next < first:
                self._say("gone", f"{self._topic}: {first - at.next} records of partition "
                                  f"{partition} are kept no more, and were not read")
            offsets[partition] = max(at.next, first)
        source.seek(offsets)

    def _take(self, records: list[Record]) -> None:
        """Puts into the outbox what is to be told, however long the file is busy."""
        odd = self._kept(lambda: self._box.take(records, self._settings.channels, wall()))
        self._sender.wake()
        if odd:
            self._say("odd", f"{self._topic} holds what is no record of a ledger: passed over")

    def _kept(self, write: Callable[[], T]) -> T | None:
        """What comes of writing the file; None at the end, without having written."""
        while True:
            try:
                made = write()
            except sqlite3.Error as error:
                self._say("box", f"{self._box.path}: cannot be written: {error}; trying again")
                if self._stop.wait(RETRY_S):
                    return None
            else:
                self._said.pop("box", None)
                return made

    # How channels do -----------------------------------------------------------------------------

    def _tell(self) -> None:
        """Sends what the sender says of its channels as messages of assets, until it is stopped.

        Raises LinkError. What is lost then is said again within seconds.
        """
        try:
            with Producer(self._client) as producer:
                while not self._stop.is_set():
                    with contextlib.suppress(queue.Empty):
                        said = self._sender.health.get(timeout=LOOK_S)
                        producer.send(self._readings, reading(said), key=said.asset.encode())
                        producer.flush()
                        self._said.pop("_tell", None)
        except (DeniedError, RefusedError) as error:    # people are told of alarms all the same
            raise LinkError(str(error)) from None


def reading(message: Message) -> bytes:
    """A message as gateways send it."""
    return json.dumps({"asset": message.asset, "class": message.cls, "t": message.t,
                       "values": message.values}).encode()  # fmt: skip


def run(settings: NotifySettings) -> int:
    """Tells until SIGTERM or Ctrl-C. Returns the exit status; what is wrong is said on stderr."""
    try:
        notifier = Notifier(settings)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, notifier.stop)
        notifier.run()
    except (NotifyError, StoreError) as error:
        sys.stderr.write(f"tocsin notify: {error}\n")
        return 1
    return 0
