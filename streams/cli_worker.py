"""`tocsin worker`: one of the fleet that runs the rules on Kafka."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli_common import fail
from streams.cli_settings import SettingsOption, settings_of


def worker(
    *,
    settings: SettingsOption = None,
    name: Annotated[
        str, typer.Option(help="What it is called; a restart keeps it. Else by its host.")
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="Also what libraries say.")] = False,
) -> None:
    """Run the rules on Kafka, until SIGTERM or Ctrl-C.

    Start as many as there are partitions, at most; they share the work. Status goes to stderr, a
    line a minute.
    """
    import asyncio  # noqa: PLC0415 - start-up
    import logging  # noqa: PLC0415 - start-up

    from streams.run.worker import FAULTS, Worker  # noqa: PLC0415 - start-up

    given = settings_of(settings)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("streams").setLevel(logging.INFO)
    if not verbose:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    async def main() -> None:
        await Worker(given, name).run()

    try:
        asyncio.run(main())
    except FAULTS as error:
        raise fail(f"tocsin worker: {str(error) or repr(error)}") from None
