"""The options `--settings` and `--kafka` of the commands that use brokers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli_common import USAGE, fail, tell

if TYPE_CHECKING:  # a moment to import, and `--help` does not need it
    from streams.settings import Settings

DEFAULT = Path("tocsin.yaml")

SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help=f"The settings; else {DEFAULT}, if there is one."),
]
#: The same for commands that are about Kafka only in one of their ways, or say so in this way.
KafkaOption = Annotated[
    Path | None,
    typer.Option("--kafka", "--settings", metavar="SETTINGS",
                 help=f"The settings, with the brokers; else {DEFAULT}, if there is one."),
]
#: The same for commands that are about a folder unless Kafka is named.
InsteadOption = Annotated[
    Path | None,
    typer.Option("--kafka", metavar="SETTINGS",
                 help="The settings of a deployment on Kafka, instead."),
]


@contextmanager
def on_kafka() -> Iterator[None]:
    """What goes wrong with Kafka is told, and the command ends with 1."""
    from streams.run.client import ClientError  # noqa: PLC0415 - see above
    from streams.run.site_kafka import told  # noqa: PLC0415 - see above

    try:
        with told():
            yield
    except ClientError as error:
        raise fail(str(error)) from None


def settings_of(path: Path | None) -> Settings:
    """The settings of a file and the environment; with errors in them they are told and the command
    ends with 2."""
    from streams.settings import SettingsError, load_settings  # noqa: PLC0415 - see above

    try:
        return load_settings(path or (DEFAULT if DEFAULT.exists() else None), os.environ)
    except SettingsError as error:
        tell(error.problems)
        raise fail("the settings have errors", USAGE) from None
