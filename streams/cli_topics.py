"""`tocsin topics`: makes the topics of a deployment, and says how those found differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streams.cli_common import FAILED, JsonOption, fail, say, say_json
from streams.cli_settings import SettingsOption, settings_of

if TYPE_CHECKING:  # the client takes half a second to import, and `--help` does not need it
    from connectors.kafka import Admin
    from streams.settings import Kafka

app = typer.Typer(no_args_is_help=True, help="The topics on Kafka.")


@contextmanager
def _admin(path: Path | None) -> Iterator[tuple[Kafka, Admin]]:
    """The settings and the cluster. What goes wrong there is told, and the command ends with 1."""
    kafka = settings_of(path).kafka
    from connectors.kafka import Admin, KafkaError  # noqa: PLC0415 - see TYPE_CHECKING above

    try:
        with Admin(kafka.client()) as admin:
            yield kafka, admin
    except KafkaError as error:
        raise fail(str(error)) from None


@app.command()
def create(*, settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Make the topics that are missing; those that are there stay as they are."""
    from streams.topics import plan  # noqa: PLC0415 - start-up

    with _admin(settings) as (kafka, admin):
        brokers = admin.brokers()
        if brokers < kafka.replication:
            raise fail(f"kafka.replication is {kafka.replication} and there are {brokers} brokers; "
                       f"start more, or set it to {brokers} (TOCSIN_KAFKA_REPLICATION={brokers})")
        for one in plan(kafka.prefix, kafka.partitions, kafka.replication):
            made = admin.create(one.name, one.partitions, one.replication, one.config)
            if as_json:
                say_json({"topic": one.name, "created": made})
            else:
                say(f"{one.name}: {'created' if made else 'is there'}")


@app.command()
def check(*, settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Say how the topics differ from what they should be; 1 if they do."""
    from streams.topics import compare, missing, plan  # noqa: PLC0415 - start-up

    with _admin(settings) as (kafka, admin):
        planned = plan(kafka.prefix, kafka.partitions, kafka.replication)
        there = admin.describe([one.name for one in planned])
    differences = []
    for one in planned:
        found = there.get(one.name)
        differences += [missing(one)] if found is None else compare(
            one, found.partitions, found.replication, found.config, kafka.brokers[0])  # fmt: skip
    for each in differences:
        if as_json:
            say_json(asdict(each))
        else:
            say(f"{each.topic}: {each.what} is {each.found}, expected {each.expected}; {each.fix}")
    if differences:
        raise typer.Exit(FAILED)
    if not as_json:
        say(f"{len(planned)} topics are as they should be")
