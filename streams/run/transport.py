"""A worker's app: Faust on our transport, watched, from start to stop.

    app = app_of(setup, keeper, {"readings": handle, "commands": order}, reports)
    await run(app, signalled())                 # until SIGTERM, SIGINT or a crash

Each topic has its agent, whose handler gets one `PartitionBatch` after the other. Handlers and the
keeper never run at the same time (see `transport_holding`); `app.holding.turn()` gives a moment
between them, `producer(app).post` sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, cast

import faust
from faust.types import StreamT

from streams.run.fetching import Away, Fetching, Keeper, PartitionBatch
from streams.run.transport_faust import App, Consumer, Producer
from streams.run.transport_holding import Handler, Holding, Lease
from streams.run.transport_setup import Reports, Setup

LOOK_S = 1.0            # between looks of the watch
BOUNDS_LOOKS = 5        # every so many looks the brokers are asked where the partitions end
SCHEME = "tocsin"       # of the entry point


class GroupDiedError(Exception):
    """The client's group member has ended: nothing would be given or taken any more."""


class _Batches(faust.Schema[Any, Any]):
    """The value of a message is a batch already."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ANN401, ARG002
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ANN401, ARG002
        return message.value


def app_of(
    setup: Setup, keeper: Keeper, handlers: Mapping[str, Handler], reports: Reports
) -> App:
    """An app that has not started; make it in the event loop that runs it.

    `handlers` has one for each of the topics of `setup`. No port is opened, no topic made.
    """
    assert handlers.keys() == set(setup.topics)
    app = App(
        setup.group,
        broker=";".join(f"{SCHEME}://{broker}" for broker in setup.client["bootstrap_servers"]),
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        agent_supervisor="mode.supervisors:CrashingSupervisor",
        broker_commit_interval=setup.commit_s,
        # Faust gives up loading state after this time, silently: ours ends first, and is told.
        broker_request_timeout=setup.load_s + 30.0,
        broker_session_timeout=setup.session_s,
        broker_heartbeat_interval=setup.heartbeat_s,
        stream_buffer_maxsize=2 * setup.waiting,    # `Fetching` holds the limit before
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
    )

    app.setup = setup
    app.lease = Lease(setup.session_s)
    app.fetching = Fetching(reports.gap, chunk=setup.chunk, waiting=setup.waiting)
    app.holding = Holding(keeper, app.fetching, app.lease, setup.topics, setup.load_s)
    app.reports = reports
    for topic, handler in handlers.items():
        _agent(app, topic, handler)
    app.on_before_shutdown.connect(cast("Any", _last_hand_over), weak=False)
    return app


def _agent(app: App, topic: str, handler: Handler) -> None:
    async def work(stream: StreamT[Any]) -> None:
        async for event in cast("faust.Stream[Any]", stream).noack().events():
            try:
                await app.holding.handle(cast("PartitionBatch", event.value), handler)
            except Exception as error:
                await app.crash(error)
                raise

    channel = app.topic(topic, schema=_Batches(), acks=False)
    app.agent(channel, name=topic, concurrency=1)(work)


async def _last_hand_over(app: App, **_: Any) -> None:  # noqa: ANN401 — of Faust's signals
    """Once more before the agents are stopped: the state of a sound worker is persisted."""
    if app.fetching.epoch is not None:
        await consumer(app).hand_over(lost=app.crashed)


def consumer(app: App) -> Consumer:
    """The app's consumer as what it is."""
    return cast("Consumer", app.consumer)


def producer(app: App) -> Producer:
    """The app's producer as what it is."""
    return cast("Producer", app.producer)


def signalled() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def run(
    app: App, stopping: asyncio.Event, tasks: Iterable[Coroutine[Any, Any, None]] = ()
) -> None:
    """Runs an app until `stopping` is set, and tasks beside it. Raises the reason of its crash,
    what a task raises, GroupDiedError, and TimeoutError if it does not stop in time: what was
    durable by then stays so.
    """
    starting = asyncio.ensure_future(app.start())
    ends = [asyncio.ensure_future(end) for end in (
        stopping.wait(), app.wait_until_stopped(), _watch(app), _failed(starting), *tasks)]
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in done:
            end.result()
    finally:
        for task in (starting, *ends):
            task.cancel()
        async with asyncio.timeout(app.setup.stop_s):
            await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason


async def _failed(starting: asyncio.Future[None]) -> None:
    """Ends with the error of a start that fails, else never."""
    await starting
    await asyncio.Event().wait()


async def _watch(app: App) -> None:
    """Looks whether the member of the group lives, and whether partitions move."""
    told = False
    for look in itertools.count(1):
        await asyncio.sleep(LOOK_S)
        if not app.fetching.places:
            continue
        client = consumer(app)
        if client.group_died():
            raise GroupDiedError("the client's member of the group has ended by an error; see its "
                                 "log. The process ends, to be started anew")
        if look % BOUNDS_LOOKS == 0:
            with contextlib.suppress(Away, TimeoutError):
                async with asyncio.timeout(BOUNDS_LOOKS * LOOK_S):
                    bounds = await client.bounds(tuple(app.fetching.places))
                    app.fetching.seen({tp: end for tp, (_, end) in bounds.items()})
        stalled = app.fetching.stalled(app.setup.stalled_s)
        if stalled or told:
            app.reports.stalled(stalled)
        told = bool(stalled)
