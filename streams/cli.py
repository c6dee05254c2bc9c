"""The command `tocsin`. Each command imports what it needs, so that starting is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rules.model import SEVERITY_NAMES
from streams import (
    cli_alarms,
    cli_assets,
    cli_doctor,
    cli_kpi,
    cli_ledger,
    cli_notify,
    cli_refused,
    cli_rules,
    cli_topics,
    cli_worker,
)
from streams.cli_common import (
    FAILED,
    JsonOption,
    Language,
    LanguageOption,
    RulesOption,
    ZoneOption,
    existing,
    fail,
    instant,
    loaded,
    say,
    say_json,
)

if TYPE_CHECKING:
    from rules.records import Transition
    from streams.run.replay import Replay

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Real-time alarms from sensor streams.",
)
app.add_typer(cli_rules.app, name="rules")
cli_rules.app.command("activate")(cli_alarms.activate)
cli_rules.app.command("active")(cli_alarms.active)
app.add_typer(cli_alarms.app, name="alarms")
app.add_typer(cli_assets.app, name="assets")
app.add_typer(cli_ledger.app, name="ledger")
app.add_typer(cli_refused.app, name="refused")
app.add_typer(cli_topics.app, name="topics")
app.command()(cli_worker.worker)
app.command()(cli_notify.notify)
app.command()(cli_ledger.trace)
app.command()(cli_kpi.kpi)
app.command()(cli_doctor.doctor)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - start-up

        try:
            say(f"tocsin {version('tocsin')}")
        except PackageNotFoundError:  # run from its folder without being installed
            say("tocsin (not installed)")
        raise typer.Exit


@app.callback()
def tocsin(
    *,
    _: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Real-time alarms from sensor streams: rules in YAML, evaluated exactly."""


@app.command()
def replay(
    *,
    rules: RulesOption,
    data: Annotated[Path, typer.Option(help="Messages, one JSON object a line.")],
    inventory: Annotated[Path | None, typer.Option(help="The inventory, CSV or YAML.")] = None,
    until: Annotated[str, typer.Option(help="Run up to here: ms since 1970 or RFC 3339.")] = "",
    zone: ZoneOption = "UTC",
    as_json: JsonOption = False,
) -> None:
    """Run data of the past and show the alarms that come of it."""
    from streams.run.replay import DataError  # noqa: PLC0415 - start-up
    from streams.run.replay import replay as run_replay  # noqa: PLC0415 - start-up

    existing([data])
    if data.is_dir():
        raise typer.BadParameter(f"{data} is a folder; expected a file of messages")
    end = instant(until, "--until") if until else None
    pack = loaded(rules, zone).pack
    assert pack is not None
    assets = cli_rules.assets_of(inventory, pack) if inventory is not None else ()
    try:
        outcome = run_replay(pack, data, inventory=assets, zone=zone, until=end)
    except DataError as error:
        raise fail(str(error)) from None
    _tell_refused(outcome)
    _tell_undecided(outcome)
    if as_json:
        for transition in outcome.transitions:
            say_json(_plain(transition))
    else:
        _show(outcome.transitions, zone)


def _plain(transition: Transition) -> dict[str, object]:
    line: dict[str, object] = {
        "t": transition.t,
        "group" if transition.group else "asset": transition.asset,
        "rule": transition.rule,
        "kind": transition.kind,
        "severity": SEVERITY_NAMES[transition.severity],
        "announced": transition.announced,
    }
    if transition.first_out is not None:
        line["first_out"] = list(transition.first_out)
    return line


def _tell_refused(outcome: Replay) -> None:
    for number, why in outcome.refused:
        sys.stderr.write(f"line {number}: {why}\n")
    if outcome.reasons:
        counts = ", ".join(f"{count} {reason}" for reason, count in outcome.reasons.most_common())
        sys.stderr.write(f"{outcome.lines} lines; not used: {counts}\n")


def _tell_undecided(outcome: Replay) -> None:
    """Rules that could not decide at the end, for 10 minutes or longer: they guard nothing."""
    for rule, assets in sorted(outcome.undecided.items()):
        some = ", ".join(assets[:5]) + (", …" if len(assets) > 5 else "")
        sys.stderr.write(f"{rule} has been unable to decide on {len(assets)} assets: {some}\n")


_COLOURS = {1: "blue", 2: "yellow", 3: "dark_orange", 4: "red"}


def _show(transitions: list[Transition], zone: str) -> None:
    """A table for people, coloured on a terminal."""
    from rich.console import Console  # noqa: PLC0415 - start-up
    from rich.table import Table  # noqa: PLC0415 - start-up
    from rich.text import Text  # noqa: PLC0415 - start-up

    if not transitions:
        say("no alarms")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("time", "asset", "rule", "what", "severity", ""):
        table.add_column(column, no_wrap=True)
    for one in transitions:
        severity = SEVERITY_NAMES[one.severity]
        note = "" if one.announced else "not announced"
        colour = Text(severity, style=_COLOURS[one.severity])
        cells = (_local(one.t, zone), one.asset, one.rule, one.kind)
        table.add_row(*map(Text, cells), colour, Text(note))
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)  # a pipe has no width to fit into
    console.print(table)


def _local(t: int, zone: str) -> str:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - start-up

    try:
        at = datetime.fromtimestamp(t // 1000, ZoneInfo(zone))
    except (ValueError, OverflowError, OSError):
        return f"{t} ms"
    return f"{at:%Y-%m-%d %H:%M:%S}.{t % 1000:03}"


@app.command()
def run(
    *,
    rules: Annotated[list[Path], typer.Option(help="Rules; else those of the demo.")] = [],  # noqa: B006
    data: Annotated[list[Path], typer.Option(help="Recordings; else the demo's scene.")] = [],  # noqa: B006
    speed: Annotated[
        float | None, typer.Option(help="Times real time; 0: as fast as possible.")
    ] = None,
    lang: LanguageOption = Language.EN,
    headless: Annotated[bool, typer.Option("--headless", help="No screen, lines only.")] = False,
    ledger: Annotated[Path, typer.Option(help="The folder of ledger and state.")] = Path(
        "tocsin-data"
    ),
    zone: ZoneOption = "UTC",
    orders: Annotated[
        Path | None, typer.Option(help="Operators' orders to play, one JSON object a line.")
    ] = None,
    notify: Annotated[
        Path | None, typer.Option(help="The channels of notices, YAML.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of the operators' access; 0: a free one.")
    ] = 0,
) -> None:
    """Run on this machine: the demo, or recordings, with ledger and screen."""
    from streams.run.embedded import run as run_embedded  # noqa: PLC0415 - start-up
    from streams.run.loop import SPEED, RunSettings  # noqa: PLC0415 - start-up

    existing([*rules, *data, *([orders] if orders else [])])
    settings = RunSettings(
        speed=SPEED if speed is None else speed,
        lang=lang.value, data=tuple(data), rules=tuple(rules),
        headless=headless, ledger=ledger, zone=zone, orders=orders, notify=notify, port=port,
    )  # fmt: skip
    raise typer.Exit(run_embedded(settings))


#: Commands without arguments of their own, so that all words after a path option are paths.
_NO_ARGUMENTS = frozenset({"replay", "run"})
_PATH_OPTIONS = frozenset({"--rules", "--data"})


def spread(words: Sequence[str]) -> list[str]:
    """`--rules A B` as `--rules A --rules B`, which is how the parser wants it.

    Where a command has arguments of its own, only words that exist as paths are taken.
    """
    takes_all = bool(words) and words[0] in _NO_ARGUMENTS
    result: list[str] = []
    option, given = "", 0
    for word in words:
        if word.startswith("-"):
            option, given = (word if word in _PATH_OPTIONS else ""), 0
        elif option:
            given += 1
            if given > 1 and (takes_all or Path(word).exists()):
                result.append(option)
        result.append(word)
    return result


def main(words: Sequence[str] | None = None) -> None:
    """The entry point. Whatever goes wrong is told in a line, never as a traceback."""
    try:
        app(spread(sys.argv[1:] if words is None else words), prog_name="tocsin")
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # the last resort of a command
        sys.stderr.write(f"tocsin: a fault of ours: {type(error).__name__}: {error}\n")
        if os.environ.get("TOCSIN_DEBUG"):
            raise
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
