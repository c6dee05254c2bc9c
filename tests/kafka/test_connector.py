"""What the connector reads and sends is complete, and what goes wrong is an error of ours."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer

from connectors import kafka
from connectors.kafka import (
    Admin,
    KafkaError,
    LinkError,
    Producer,
    RefusedError,
    partition_of,
    read_all,
)
from tests.kafka.broker import SCRIPT, Broker, asked


@pytest.fixture
def topic(broker: Broker, prefix: str) -> str:
    with Admin(broker.settings(prefix).client()) as admin:
        assert admin.create(f"{prefix}.t", 3, 1, {"max.message.bytes": "1100000"})
        assert not admin.create(f"{prefix}.t", 3, 1, {})
    return f"{prefix}.t"


@pytest.fixture
def client(broker: Broker, prefix: str) -> dict[str, object]:
    return broker.settings(prefix).client()


def test_all_that_was_sent_is_read_each_partition_in_order(
    client: dict[str, object], topic: str
) -> None:
    with Producer(client) as producer:
        for i in range(12_000):  # more than may be on the way at once
            producer.send(topic, b"%d" % i, key=b"k%d" % (i % 100), headers=[("ce_id", b"%d" % i)])
        producer.send(topic, None, key=b"k1")
    records = list(read_all(client, topic))
    assert sorted(int(one.value) for one in records if one.value) == list(range(12_000))
    assert [one.key for one in records if one.value is None] == [b"k1"]
    assert all(dict(one.headers)["ce_id"] == one.value for one in records if one.value)
    for partition in range(3):
        mine = [one for one in records if one.partition == partition]
        assert [one.offset for one in mine] == list(range(len(mine)))
        assert [one.value for one in mine if one.value] == sorted(
            (one.value for one in mine if one.value), key=int)
        assert {one.t_ms > 1_600_000_000_000 for one in mine} == {True}
    sizes = [sum(one.partition == p for one in records) for p in range(3)]
    rest = list(read_all(client, topic, start={0: 10, 1: sizes[1], 2: sizes[2] - 1}))
    assert len(rest) == sizes[0] - 10 + 1
    assert [one.offset for one in read_all(client, topic, newest=2, start={1: sizes[1]})] == [
        sizes[0] - 2, sizes[0] - 1, sizes[2] - 2, sizes[2] - 1]
    assert {one.partition for one in records if one.key == b"k7"} == {partition_of(b"k7", 3)}


def test_records_are_read_from_a_time_on(client: dict[str, object], topic: str) -> None:
    with Producer(client) as producer:
        for i in range(3):
            producer.send(topic, b"%d" % i, partition=i % 2)
            producer.flush()
    stamps = {one.value: one.t_ms for one in read_all(client, topic)}
    for since in (1, stamps[b"0"], stamps[b"1"] + 1, stamps[b"2"], stamps[b"2"] + 60_000):
        found = {one.value for one in read_all(client, topic, since_ms=since)}
        assert found == {value for value, t_ms in stamps.items() if t_ms >= since}


@pytest.mark.parametrize("compression", [None, "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read(
    client: dict[str, object], topic: str, compression: str | None
) -> None:
    body = b"\x00" * 3_000_000  # zstd's frames above 1 MiB, too
    with Producer(client, compression=compression) as producer:
        producer.send(topic, body[:900_000], partition=0)
        if compression is not None:
            producer.send(topic, body, partition=0)
    found = [len(one.value or b"") for one in read_all(client, topic)]
    assert found == [900_000, 3_000_000][: 1 if compression is None else 2]


def test_reading_ends_behind_marks_of_transactions_and_shows_none_that_failed(
    client: dict[str, object], topic: str
) -> None:
    producer = KafkaProducer(**client, transactional_id=topic)
    try:
        producer.init_transactions()
        for end in (producer.commit_transaction, producer.abort_transaction):
            producer.begin_transaction()
            producer.send(topic, end.__name__.encode(), partition=1)
            producer.flush()
            end()
    finally:
        producer.close()
    assert [one.value for one in read_all(client, topic)] == [b"commit_transaction"]


def test_an_empty_topic_is_read_at_once(client: dict[str, object], topic: str) -> None:
    assert list(read_all(client, topic)) == []


def test_only_what_is_there_at_the_start_is_read(client: dict[str, object], topic: str) -> None:
    with Producer(client) as producer:
        producer.send(topic, b"before", partition=0)
        producer.flush()
        records: Iterator[object] = read_all(client, topic)
        next(records)
        producer.send(topic, b"after", partition=0)
        producer.flush()
        assert list(records) == []


def test_a_topic_that_is_not_there_is_named(client: dict[str, object]) -> None:
    with pytest.raises(KafkaError, match="no topic nowhere"):
        list(read_all(client, "nowhere"))
    with Admin(client) as admin:
        assert admin.describe(["nowhere"]) == {}
        assert admin.brokers() == 1


def test_what_the_broker_refuses_is_told(client: dict[str, object], topic: str) -> None:
    with Admin(client) as admin:
        with pytest.raises(RefusedError, match="replication factor of 2 cannot be reached"):
            admin.create(f"{topic}.a", 1, 2, {})
        with pytest.raises(RefusedError, match="Unknown topic config name: colour"):
            admin.create(f"{topic}.b", 1, 1, {"colour": "red"})
        with pytest.raises(KafkaError, match="nvalid"):
            admin.create("no spaces", 1, 1, {})
    too_large = pytest.raises(RefusedError, match="MessageSizeTooLarge")
    with too_large, Producer(client, compression=None) as one:
        one.send(topic, b"x" * 2_000_000, key=b"k")
    with pytest.raises(LinkError), Producer(client, timeout_s=1) as producer:
        producer.send("nowhere", b"x")


#: Each way to a broker that is not there; at the end, the threads that are left.
AWAY = """
import sys, threading
from connectors.kafka import Admin, LinkError, Producer, read_all
settings = {"bootstrap_servers": [sys.argv[1]]}
for use in (Admin, Producer, lambda given, s: list(read_all(given, "t", timeout_s=s))):
    try:
        use(settings, 0.5)
    except LinkError as error:
        print(error)
print([one.name for one in threading.enumerate()])
"""


def test_no_broker_is_a_fault_of_the_link_and_leaves_nothing_behind() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{one.getsockname()[1]}"
    done = subprocess.run([sys.executable, "-c", AWAY, address], capture_output=True, text=True,
                          check=False, cwd=SCRIPT.parents[2], timeout=60)
    *errors, threads = done.stdout.splitlines()
    assert (done.stderr, threads) == ("", "['MainThread']")
    assert len(errors) == 3
    for error in errors:
        assert error.startswith(f"{address}: no connection within 0.5 s: ")
        assert "REFUSED" in error


def test_a_broker_that_wants_no_name_denies(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2")
    said = asked(1, BROKERS=broker.bootstrap, SECURITY_PROTOCOL="SASL_PLAINTEXT",
                 SECURITY_MECHANISM="PLAIN", SECURITY_USERNAME="u",
                 SECURITY_PASSWORD_FILE=str(tmp_path / "password"))
    assert said.startswith(f"DeniedError: {broker.bootstrap}: no connection within 1 s: ")
    assert "IllegalSaslState" in said
    assert "hunter2" not in said
    assert asked(5, BROKERS=broker.bootstrap) == "1"


def test_the_log_of_the_library_is_kept_from_other_handlers(
    client: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"), Admin(client | {"sasl_plain_password": "hunter2"}):
        pass
    assert "hunter2" not in caplog.text
    assert kafka._complaints.level == 30
