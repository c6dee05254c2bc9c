"""`tocsin notify` on a real broker: killed wherever it may be, it tells each alert once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka import Record
from connectors.kafka_follow import Follower
from streams.run.clock import wall
from streams.run.notify_box import Box
from tests.connectors.notify.kit import peer
from tests.kafka.broker import Broker, free_ports
from tests.kafka.notify_kit import (
    PARTITIONS,
    STEPS,
    Alerts,
    Notifiers,
    configured,
    fence,
    raised,
    record,
)
from tests.streams.notices_kit import alert, channel

SOON_S = 6  # 2 s are promised, and room for a machine that is busy; without a limit it took 10 s


@pytest.fixture(scope="module")
def notifiers() -> Iterator[Notifiers]:
    with Notifiers() as one:
        yield one


def test_killed_between_its_steps_it_tells_each_alert_once(
    notifiers: Notifiers, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    alerts, where = Alerts(broker, prefix), (broker.bootstrap, prefix, tmp_path)
    with peer() as server:
        configured(tmp_path, server.url)
        alerts.write((0, 1, raised("before")))          # before its first start: not told
        first = notifiers.start(*where)
        assert notifiers.line() == f"tocsin notify: reads {prefix}.alerts"
        assert notifiers.stop(first) < SOON_S
        for step in STEPS:
            alerts.write((0, 1, raised(f"{step}0")), (1, 1, raised(f"{step}1")),
                         (1, 1, {"type": "tick", "t_ms": 1, "time": "", "position": {}}))
            notifiers.start(*where, step)
            assert [notifiers.line(), notifiers.line()][1] == "status -9"
        assert server.got == []
        written = alerts.ns[0]
        alerts.write((0, 2, fence(2, 0)))
        for zombie, n in (("late", written + 1), ("later", written + 2)):
            body, headers, _ = record({**raised(zombie), "n": n}, 0, 1, alerts.heads[0], prefix)
            alerts.raw(0, body, headers)
        alerts.raw(0, *record({**raised("read0"), "n": written}, 0, 2, prefix=prefix)[:2])  # again
        alerts.raw(1, b"?", [])
        alerts.raw(1, b'{"type":"alert"}', headers)
        alerts.write((0, 2, raised("end")), (0, 2, alert("cleared", alarm="end", seq=1)))
        last = notifiers.start(*where)
        told = [f"{step}{partition}-0" for step in STEPS for partition in (0, 1)]
        server.wait(len(told) + 2)
        readings = _of_the_channel(alerts)
        assert notifiers.stop(last) < SOON_S
    got = [(one.headers["ce-id"], json.loads(one.body)["n"]) for one in server.got]
    assert sorted(ident for ident, _ in got) == sorted([*told, "end-0", "end-1"])
    assert got[-2:] == [("end-0", written + 1), ("end-1", written + 2)]
    with sqlite3.connect(tmp_path / "notify.db") as db:
        positions = dict(db.execute("SELECT partition, next FROM positions"))
    db.close()
    with Follower(alerts.client, f"{prefix}.alerts", f"{prefix}-notify") as source:
        ends = {partition: end for partition, (_, end) in source.range().items()}
        assert positions == ends
        assert source.committed() == ends
        assert len(ends) == PARTITIONS
    assert readings["asset"] == "notify.x"
    assert readings["class"] == "tocsin_channel"
    assert readings["values"].keys() == {"failing", "pending", "oldest", "refused"}


def _of_the_channel(alerts: Alerts) -> dict[str, dict[str, object]]:
    """The newest message of how the channel does, as it came to the readings."""
    found = [one for one in alerts.on("readings") if one.key == b"notify.x"]
    assert found
    return json.loads(found[-1].value)


def test_without_kafka_what_waits_is_sent_and_an_end_is_quick(
    notifiers: Notifiers, tmp_path: Path
) -> None:
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    with peer() as server:
        configured(tmp_path, server.url)
        box = Box(tmp_path, "p.alerts")
        box.begin({0: 0})
        body, headers, _ = record({**raised("a"), "n": 1}, 0, 1)
        box.take([Record(0, 0, wall(), None, body, tuple(headers))], [channel()], wall())
        box.close()
        number = notifiers.start(nobody, "p", tmp_path)
        server.wait()
        assert notifiers.stop(number) < SOON_S
    assert [one.headers["ce-id"] for one in server.got] == ["a-0"]
