"""`tocsin alarms …`: the alarms of a running `tocsin run`, or of a deployment on Kafka, and what
people order about them.

Exit codes as everywhere: 1 also when any order was refused; each refusal is told on stderr.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams import cli_alarms_orders
from streams.cli_alarms_options import Alarms, By, Filters, Where, amiss, author, warn
from streams.cli_common import FAILED, JsonOption, RulePaths, fail, loaded, say, say_json
from streams.cli_options import spread_out
from streams.cli_settings import KafkaOption, settings_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rules.model import Pack
    from streams.cli_alarms_view import Sheet
    from streams.run.client import Listing, Result, Row

app = typer.Typer(no_args_is_help=True, help="Look at alarms and work them off.")
app.add_typer(cli_alarms_orders.app)

REFRESH_S = 1.0


@app.command("list")
@spread_out
def show_list(
    *,
    where: Where,
    filters: Filters,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep it up to date.")] = False,
) -> None:
    """The alarms, the worst first."""
    from streams.cli_alarms_view import console_of  # noqa: PLC0415 - start-up

    console = console_of()
    if watch:
        if as_json or not console.is_terminal:
            raise typer.BadParameter("--watch needs a terminal, and goes without --json")
        keep_showing(where, filters, console)
        return
    listing = where.listing(where.client())
    rows = _chosen(listing, filters)
    if as_json:
        for row in rows:
            say_json(row)
        return
    width = console.width if console.is_terminal else None
    console.print(_sheet(listing, where).table(rows, width))


def _chosen(listing: Listing, filters: Filters) -> list[Row]:
    from streams.run.board import worst_first  # noqa: PLC0415 - start-up

    return worst_first(list(filter(filters.keeps, listing.rows)))


def _sheet(listing: Listing, where: Where) -> Sheet:
    from streams.cli_alarms_view import Sheet  # noqa: PLC0415 - start-up

    return Sheet(listing.now_ms, listing.zone, where.lang.value)


def keep_showing(
    where: Where, filters: Filters, console: Console, pause: Callable[[float], None] = time.sleep
) -> None:
    """The list, anew every second, until Ctrl-C. A list that is old says so."""
    from rich.console import Group  # noqa: PLC0415 - start-up
    from rich.live import Live  # noqa: PLC0415 - start-up
    from rich.text import Text as Rich  # noqa: PLC0415 - start-up

    from streams.run.client import ClientError  # noqa: PLC0415 - start-up

    shown: RenderableType = ""
    # A process may have been started anew since, but a deployment is the same one, and its client
    # has read most of the list before.
    site = where.deployment() if where.kafka is not None else None
    with Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                try:
                    listing = (site or where.reach()).listing()
                    sheet = _sheet(listing, where)
                    shown = Group(
                        Rich(sheet.at(listing.now_ms), style="bold"),
                        sheet.table(_chosen(listing, filters), console.width),
                    )
                    wrong = amiss(listing)
                except ClientError as error:
                    wrong = f"what is below is old: {error}"
                warning = [Rich(wrong, style="bold white on red")] if wrong else []
                live.update(Group(*warning, shown), refresh=True)
                pause(REFRESH_S)
        except KeyboardInterrupt:
            return


@app.command()
@spread_out
def show(alarms: Alarms = None, *, where: Where, as_json: JsonOption = False) -> None:
    """Everything about an alarm, with its plan as a checklist."""
    from streams.cli_alarms_view import console_of  # noqa: PLC0415 - start-up
    from streams.run.client import ClientError, target  # noqa: PLC0415 - start-up

    if not alarms:
        raise typer.BadParameter("name an alarm; `tocsin alarms list` shows them")
    listing = where.listing(where.client())
    sheet, console, missing = _sheet(listing, where), console_of(), False
    for said in alarms:
        try:
            found = target(said, listing.rows)
            row = next(
                (x for x in listing.rows if (x["rule"], x["asset"]) == (found.rule, found.asset)
                 and (not found.alarm or x["alarm"] == found.alarm)), None
            )  # fmt: skip
            if row is None:
                raise ClientError(f"{said}: not in the list; see `tocsin trace` for what was")  # noqa: TRY301 - told as the others are
        except ClientError as error:
            warn(str(error))
            missing = True
            continue
        if as_json:
            say_json(row)
            continue
        for line in sheet.story(row):
            console.print(line, soft_wrap=True)
    if missing:
        raise typer.Exit(FAILED)


# Rules --------------------------------------------------------------------------------------------


@spread_out
def activate(
    paths: RulePaths,
    *,
    where: Where,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; kept with the order. With --kafka.")] = "",
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Only record what they would raise. With --kafka.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Have these rules take effect in a running site, in place of those it has."""
    from rules.load import named  # noqa: PLC0415 - start-up
    from streams.run.client import ClientError  # noqa: PLC0415 - start-up

    author(by)
    if where.kafka is None and (reason or shadow):
        raise typer.BadParameter("--reason and --shadow go with --kafka")
    found = loaded(paths)
    if where.kafka is not None and found.pack is not None:
        paths = _with_own(paths, found.pack)
    texts = loaded(paths).sources
    files = [(named(Path(path), paths), text) for path, text in texts.items()]
    try:
        if where.kafka is not None:
            result = where.deployment().activate(files, by, reason=reason, shadow=shadow)
        else:
            result = where.client().activate(files, by)
    except ClientError as error:
        raise fail(str(error)) from None
    if as_json:
        say_json(result)
    if result["result"] != "accepted":
        raise fail(f"the rules were not activated: {result.get('why', '')}")
    if not as_json:
        _tell_activated(result)


def _with_own(paths: Sequence[Path], pack: Pack) -> list[Path]:
    """A fleet watches itself: with the rules that are shipped for that, unless there are others."""
    from streams.health import PARTITION  # noqa: PLC0415 - start-up
    from streams.run.source import TOCSIN  # noqa: PLC0415 - start-up

    return [*paths] if PARTITION in pack.classes else [*paths, TOCSIN]


def _tell_activated(result: Result) -> None:
    shadow = ", in shadow" if result.get("shadow") else ""
    say(f"activated{': pack ' if result.get('pack') else ''}{result.get('pack') or ''}{shadow}")
    for key, said in (("anew", "starts anew"), ("gone", "ended")):
        names = result.get(key) or ()
        say(f"{said}: {', '.join(names) or 'nothing'}")


def active(*, kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """Which rules were activated last on Kafka, by whom, and why."""
    from streams.render import rfc3339  # noqa: PLC0415 - start-up
    from streams.run.client import ClientError  # noqa: PLC0415 - start-up
    from streams.run.site_kafka import active_of, pack_of  # noqa: PLC0415 - start-up

    settings = settings_of(kafka).kafka
    try:
        found = active_of(settings)
        files = pack_of(settings, found.active.pack).files if found is not None else []
    except ClientError as error:
        raise fail(str(error)) from None
    if found is None:
        raise fail("no rules were ever activated; `tocsin rules activate` does it")
    one, time = found.active, rfc3339(found.t_ms)
    if as_json:
        say_json({"pack": one.pack, "by": one.by, "reason": one.reason, "request": one.request,
                  "shadow": one.shadow, "t_ms": found.t_ms, "time": time,
                  "files": [path for path, _ in files]})  # fmt: skip
        return
    say(f"pack {one.pack}{', in shadow' if one.shadow else ''}")
    say(f"since {time}, by {one.by}{': ' + one.reason if one.reason else ''}")
    say("\n".join(path for path, _ in files))
