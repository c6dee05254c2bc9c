"""What a worker sends: in order, without waiting for each message, and none unaccounted for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

OPEN = 20_000       # messages sent and not yet safe, at most: then sending waits

Headers = Sequence[tuple[str, bytes]]


class SendError(Exception):
    """A message is not safe, and why. What was to follow from it must not happen."""


class Sender(Protocol):
    """Who sends: the transport's producer."""

    async def post(self, topic: str, at: int, key: bytes | None, value: bytes | None,
                   headers: Headers) -> asyncio.Future[Any]:
        """Waits for room only; what it gives is done once the message is safe."""


class Outgoing:
    """Messages on their way. Used from one event loop.

    `live` says whether the partitions are still ours: when they are not, nothing is sent any more,
    and nothing counts as safe. `heard` is given the broker's stamp of each message that is safe.
    """

    def __init__(
        self, sender: Sender, live: Callable[[], bool], heard: Callable[[int], None]
    ) -> None:
        self._sender, self.live, self._heard = sender, live, heard
        self._open: set[asyncio.Future[Any]] = set()
        self._failed: BaseException | None = None

    async def put(
        self, topic: str, at: int, key: bytes | None, value: bytes | None, headers: Headers = (),
        then: Callable[[int], None] | None = None,
    ) -> None:
        """Sends a message to a partition; `then` is given its offset once it is safe.

        Raises SendError where this or an earlier one cannot be sent.
        """
        self._check()
        if not self.live():
            return
        if len(self._open) >= OPEN:
            await self.settled()
        future = await self._sender.post(topic, at, key, value, headers)
        self._open.add(future)

        def done(future: asyncio.Future[Any]) -> None:
            self._open.discard(future)
            if future.cancelled():
                self._failed = self._failed or SendError(f"{topic}/{at}: cancelled")
            elif (error := future.exception()) is not None:
                self._failed = self._failed or error
            else:
                result = future.result()
                self._heard(result.timestamp)
                if then is not None:
                    then(result.offset)

        future.add_done_callback(done)

    async def settled(self) -> None:
        """Waits until all that was sent so far is safe. Raises SendError."""
        if self._open:
            await asyncio.wait(set(self._open))
            await asyncio.sleep(0)      # the callbacks of the last
        self._check()

    def _check(self) -> None:
        if self._failed is not None:
            raise SendError(f"messages are not safe: {self._failed!r}") from self._failed
