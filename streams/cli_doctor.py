"""`tocsin doctor`: looks a deployment on Kafka over and says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import typer

from streams.cli_common import FAILED, JsonOption, say, say_json
from streams.cli_settings import KafkaOption, settings_of

if TYPE_CHECKING:  # the client takes half a second to import, and `--help` does not need it
    from connectors.kafka import Admin
    from streams.diagnosis import Finding
    from streams.settings import Kafka


def doctor(*, kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """Look a deployment on Kafka over: brokers, topics, rights, workers, rules, clocks, versions.

    It only reads. 1 if there is a fault; warnings alone are no reason to fail.
    """
    found = []
    for one in _findings(settings_of(kafka).kafka):     # as they come: some take seconds
        found.append(one)
        if as_json:
            say_json(asdict(one))
        else:
            _show(one)
    count = {level: sum(one.level == level for one in found) for level in ("fault", "warning")}
    if not as_json:
        say(f"{len(found)} findings: {count['fault']} faults, {count['warning']} warnings")
    if count["fault"]:
        raise typer.Exit(FAILED)


def _findings(kafka: Kafka) -> Iterator[Finding]:
    from connectors import kafka_look as look  # noqa: PLC0415 - see TYPE_CHECKING above
    from connectors.kafka import Admin, KafkaError  # noqa: PLC0415 - as above
    from streams import diagnosis  # noqa: PLC0415 - as above

    yield from diagnosis.of_packages({name: _installed(name) for name in diagnosis.PACKAGES})
    client = kafka.client()
    addresses = look.addresses(client)
    yield from diagnosis.of_addresses(addresses)
    yield from diagnosis.of_versions(addresses)
    answering = [one.address for one in addresses if not one.problem]
    if not answering:
        return
    client["bootstrap_servers"] = answering
    try:
        with Admin(client) as admin:
            yield from _of_cluster(kafka, client, admin)
    except KafkaError as error:
        yield diagnosis.Finding("brokers", "all", "fault", str(error), "an answer", "try again")


def _of_cluster(kafka: Kafka, client: dict[str, Any], admin: Admin) -> Iterator[Finding]:
    from connectors import kafka_look as look  # noqa: PLC0415 - see TYPE_CHECKING above
    from streams import diagnosis  # noqa: PLC0415 - as above
    from streams.topics import name_of, plan  # noqa: PLC0415 - as above

    yield from diagnosis.of_size(look.seen(admin.brokers), kafka.replication)
    planned = plan(kafka.prefix, kafka.partitions, kafka.replication)
    topics = look.seen(lambda: look.topics(admin, [one.name for one in planned]))
    yield from diagnosis.of_topics(planned, topics, client["bootstrap_servers"][0])
    group, readings = f"{kafka.prefix}-worker", name_of(kafka.prefix, "readings")
    workers = look.seen(lambda: look.group(admin, group, readings))
    yield from diagnosis.of_rights(kafka.prefix, topics, workers)
    yield from diagnosis.of_workers(group, workers)
    yield from diagnosis.of_clock(look.seen(lambda: look.clock(admin)))
    rules = name_of(kafka.prefix, "rules")
    if isinstance(topics, look.Unseen) or isinstance(topics.get(rules), look.TopicState):
        yield from _of_rules(rules, client)     # else it has been said that it is not there


def _of_rules(rules: str, client: dict[str, Any]) -> Iterator[Finding]:
    from connectors import kafka_look as look  # noqa: PLC0415 - see TYPE_CHECKING above
    from streams import diagnosis  # noqa: PLC0415 - as above

    active = look.seen(lambda: look.newest(client, rules, b"active"))
    if isinstance(active, look.Unseen):
        yield diagnosis.Finding("rules", rules, "fault", active.why, "to read it", "see rights")
        return
    key, problem = diagnosis.active_pack(active)
    if problem is not None:
        yield problem
        return
    pack = look.seen(lambda: look.newest(client, rules, key.encode()))
    if isinstance(pack, look.Unseen):
        yield diagnosis.Finding("rules", key, "fault", pack.why, "to read it", "try again")
        return
    yield from diagnosis.of_pack(key, pack)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


_COLOURS = {"ok": "\x1b[32m", "warning": "\x1b[33m", "fault": "\x1b[31m"}


def _show(one: Finding) -> None:
    """A line for people, coloured on a terminal."""
    level = f"{one.level:<8}"
    if sys.stdout.isatty():
        level = f"{_COLOURS[one.level]}{level}\x1b[0m"
    said = f"{one.check:<9}{one.what}: {one.found}"
    if one.expected:
        said += f"; expected {one.expected}"
    if one.fix:
        said += f" → {one.fix}"
    # What brokers and topics say may hold anything, also what terminals take for commands.
    said = "".join(c if c.isprintable() else "\ufffd" for c in said)
    say(level + said.replace(" → ", f"\n{'':17}→ "))
