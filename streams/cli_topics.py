"""`tocsin topics`: makes the topics of a deployment, and says how those found differ, and what is
on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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


@app.command()
def contract(
    path: Annotated[Path, typer.Argument(help="The document.")] = Path("deploy/asyncapi.yaml"),
    *,
    check: Annotated[bool, typer.Option("--check", help="Say whether it is up to date.")] = False,
) -> None:
    """Write down what is on the topics, as an AsyncAPI document."""
    from streams.asyncapi import document, text_of  # noqa: PLC0415 - start-up

    made = text_of(document())
    try:
        if not check:
            path.write_text(made, encoding="utf-8")
            return
        found = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{path}: {getattr(error, 'strerror', '') or 'not text in UTF-8'}") from None
    if found != made:
        both = enumerate(zip_longest(found.splitlines(), made.splitlines()), 1)
        line, (here, there) = next(
            ((n, pair) for n, pair in both if pair[0] != pair[1]), (0, ("", "")))  # fmt: skip
        raise fail(f"{path}:{line}: found {_quoted(here)}, expected {_quoted(there)}; "
                   f"tocsin topics contract {path}")


def _quoted(line: str | None) -> str:
    return "the end" if line is None else f"`{line.strip()[:60]}`"
