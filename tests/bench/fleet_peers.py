"""What the worker is compared with, each in a process of its own: `python -m
tests.bench.fleet_peers WAY BROKERS TOPIC RECORDS` prints {"cpu_s", "wall_s", "records"}.

    bare    aiokafka's getmany, and msgspec's decoding of each message
    faust   a stock Faust agent with one rule by hand, its state in a dictionary
    table   the same with its state in a Faust Table
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import MutableMapping

import faust
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

PARTITIONS = 4
WARM = 1_000        # events before the clock starts


class Reading(msgspec.Struct, rename={"cls": "class"}, gc=False):
    asset: str
    cls: str
    t: int
    values: dict[str, float | bool]


async def bare(brokers: str, topic: str, records: int) -> tuple[float, float]:
    client = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
    await client.start()
    client.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
    await client.seek_to_beginning()
    decode = msgspec.json.Decoder(Reading).decode
    cpu, wall, count = time.process_time(), time.perf_counter(), 0
    while count < records:
        for found in (await client.getmany(timeout_ms=1000)).values():
            for record in found:
                decode(record.value)
                count += 1
    spent = time.process_time() - cpu, time.perf_counter() - wall
    await client.stop()
    return spent


def rule(since: MutableMapping[str, int], reading: dict[str, object]) -> bool:
    """Speed above its limit for 3 s; what a first version of an alarm looks like."""
    asset, t, values = reading["asset"], reading["t"], reading["values"]
    began = since.get(asset, 0)
    if values.get("speed", 0.0) <= 2.0:
        since[asset] = 0
        return False
    since[asset] = began or t
    return t - since[asset] >= 3_000


async def stock(brokers: str, topic: str, records: int, *, table: bool) -> tuple[float, float]:
    """From the WARM-th event on."""
    app = faust.App(
        f"bench-{secrets.token_hex(4)}", broker=f"kafka://{brokers}", store="memory://",
        web_enabled=False, autodiscover=False, topic_partitions=PARTITIONS,
        topic_replication_factor=1, consumer_auto_offset_reset="earliest",
        datadir=f"/tmp/faust-{secrets.token_hex(4)}")
    source = app.topic(topic, value_type=bytes, value_serializer="json", key_type=bytes)
    since: MutableMapping[str, int] = (
        app.Table("since", default=int, partitions=PARTITIONS) if table else {})
    done = asyncio.Event()
    spent = [0.0, 0.0]

    @app.agent(source)
    async def work(stream: faust.Stream) -> None:
        count = alarms = 0
        cpu = wall = 0.0
        async for reading in stream:
            alarms += rule(since, reading)
            count += 1
            if count == WARM:
                cpu, wall = time.process_time(), time.perf_counter()
            if count == WARM + records:
                spent[:] = time.process_time() - cpu, time.perf_counter() - wall
                done.set()

    await app.start()
    await asyncio.wait_for(done.wait(), 120)
    return spent[0], spent[1]


def main() -> None:
    way, brokers, topic, records = sys.argv[1:]
    count = int(records)
    if way == "bare":
        cpu, wall = asyncio.run(bare(brokers, topic, count))
    else:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        cpu, wall = loop.run_until_complete(
            stock(brokers, topic, count, table=way == "table"))
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "records": count}), flush=True)
    os._exit(0)     # without Faust's long farewell


if __name__ == "__main__":
    main()
