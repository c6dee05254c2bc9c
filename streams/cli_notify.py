"""`tocsin notify`: tells people of the alarms of a fleet on Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from streams.cli_common import USAGE, ZoneOption, existing, fail, instant
from streams.cli_settings import KafkaOption, settings_of


def notify(
    *,
    channels: Annotated[Path, typer.Option(help="The channels of notices, YAML.")],
    folder: Annotated[
        Path, typer.Option(help="Where is kept what has been read and what waits.")
    ] = Path("tocsin-notify"),
    since: Annotated[
        str, typer.Option(help="At the first start: tell of alerts since then (ms or RFC 3339).")
    ] = "",
    zone: ZoneOption = "UTC",
    kafka: KafkaOption = None,
) -> None:
    """Tell people of alarms on Kafka: by DingTalk, WeCom, e-mail, webhook, CAP."""
    existing([channels])
    since_ms = instant(since, "--since") if since else None
    given = settings_of(kafka).kafka
    from streams.channels import load  # noqa: PLC0415 - start-up
    from streams.run.notify_kafka import NotifySettings, run  # noqa: PLC0415 - start-up

    found, problems = load(channels)
    if any(problem.kind == "error" for problem in problems):
        raise fail("\n".join(["the channels have errors:", *map(str, problems)]), USAGE)
    raise typer.Exit(run(NotifySettings(given, found, folder, ZoneInfo(zone), since_ms)))
