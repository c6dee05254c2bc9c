"""`tocsin trace` and `tocsin ledger …`: what was written down, shown and proven.

Of a folder; with `--kafka` of a deployment (`streams.cli_ledger_kafka`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from streams.cli_common import (
    FAILED,
    JsonOption,
    Language,
    LanguageOption,
    fail,
    say,
    say_json,
)
from streams.cli_settings import InsteadOption

if TYPE_CHECKING:
    from streams.store import Store
    from streams.trace_ledger import Outcome
    from streams.trace_story import Story
    from streams.trace_text import Line

app = typer.Typer(no_args_is_help=True, help="Verify and show the ledger.")


def _zone(name: str) -> str:
    from streams.trace_ledger import known_zone  # noqa: PLC0415 - start-up

    if name and not known_zone(name):
        hint = "a name like Asia/Shanghai or UTC"
        raise typer.BadParameter(f"{name!r} is no time zone; expected {hint}")
    return name


LedgerOption = Annotated[Path, typer.Option("--ledger", help="The folder of the ledger.")]
OwnZoneOption = Annotated[
    str, typer.Option("--zone", help="A time zone; else the site's.", callback=_zone)
]
PartitionOption = Annotated[
    int | None, typer.Option(min=0, help="With --kafka: of this partition only.")
]
FOLDER = Path("tocsin-data")


def _one_site(ledger: Path, kafka: Path | None, **only: object) -> None:
    """A folder or a deployment, and options that go with it. Else it is wrong usage."""
    if kafka is not None and ledger != FOLDER:
        raise typer.BadParameter("--ledger and --kafka name two ledgers; give one")
    if kafka is None and any(value is not None for value in only.values()):
        names = " and ".join(f"--{name}" for name in only)
        raise typer.BadParameter(f"{names}: only with --kafka SETTINGS")


@app.command()
def verify(
    *,
    ledger: LedgerOption = FOLDER,
    head: Annotated[str, typer.Option(help="A record's hash, noted elsewhere, to be found.")] = "",
    kafka: InsteadOption = None,
    partition: PartitionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether the ledger is whole: names the first record changed, missing or out of its place."""
    from streams.store import StoreError  # noqa: PLC0415 - start-up
    from streams.trace_check import check  # noqa: PLC0415 - start-up

    if head and not (len(head) == 64 and set(head.lower()) <= set("0123456789abcdef")):
        raise typer.BadParameter(f"--head {head!r}: expected the 64 hex digits of a record's hash")
    _one_site(ledger, kafka, partition=partition)
    if kafka is not None:
        from streams import cli_ledger_kafka  # noqa: PLC0415 - start-up

        cli_ledger_kafka.verify(kafka, partition, head, as_json=as_json)
        return
    try:
        outcome = check(ledger, head)
    except StoreError as error:
        raise fail(str(error)) from None
    if as_json:
        say_json({
            "whole": outcome.whole, "records": outcome.records, "head": outcome.head,
            "faults": [asdict(fault) for fault in outcome.faults], "notes": outcome.notes,
        })  # fmt: skip
    else:
        for fault in outcome.faults:
            sys.stderr.write(f"{fault.text}\n")
        for note in outcome.notes:
            say(f"note: {note}")
        if outcome.whole:
            say(f"whole: {outcome.records} records, the newest {outcome.head}")
    if not outcome.whole:
        raise typer.Exit(FAILED)


@app.command()
def show(
    *,
    ledger: LedgerOption = FOLDER,
    first: Annotated[int, typer.Option("--from", help="The first record's number.", min=1)] = 1,
    rule: Annotated[str, typer.Option(help="Only of this rule.")] = "",
    asset: Annotated[str, typer.Option(help="Only of this asset.")] = "",
    zone: OwnZoneOption = "",
    lang: LanguageOption = Language.EN,
    kafka: InsteadOption = None,
    partition: PartitionOption = None,
    as_json: JsonOption = False,
) -> None:
    """The records as lines (with --json as they are, with their hashes)."""
    _one_site(ledger, kafka, partition=partition)
    if kafka is not None:
        from streams import cli_ledger_kafka  # noqa: PLC0415 - start-up

        cli_ledger_kafka.show(
            kafka, partition, first, rule, asset, zone, lang.value, as_json=as_json)
        return
    from streams.run.alerts import line  # noqa: PLC0415 - start-up
    from streams.store import StoreError  # noqa: PLC0415 - start-up
    from streams.trace import TraceError, content_of  # noqa: PLC0415 - start-up
    from streams.trace_text import shown  # noqa: PLC0415 - start-up

    try:
        with _opened(ledger) as store:
            named = zone or _site_zone(store)
            for record in store.records(after=first - 1):
                content = content_of(record)
                if (rule and content.get("rule") != rule) or (
                    asset and content.get("asset") != asset
                ):
                    continue
                if as_json:
                    say(line(record).decode().rstrip("\n"))
                else:
                    say(shown(content, lang.value, named))
    except (StoreError, TraceError) as error:
        raise fail(str(error)) from None


def trace(
    alarm: Annotated[
        str, typer.Argument(help="An alarm's id, the beginning of one, or RULE@ASSET.")
    ] = "",
    *,
    ledger: LedgerOption = FOLDER,
    zone: OwnZoneOption = "",
    lang: LanguageOption = Language.EN,
    as_json: JsonOption = False,
    html: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Run it again: the same bytes must come out.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="With --verify: every alarm.")] = False,
    kafka: InsteadOption = None,
    partition: PartitionOption = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="With --all --kafka: so many alarms, by chance.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of --sample.")] = 0,
) -> None:
    """The whole story of an alarm: readings, rule as it stood, records, figures."""
    from streams.store import StoreError  # noqa: PLC0415 - start-up
    from streams.trace import TraceError  # noqa: PLC0415 - start-up

    if every != (not alarm) or (every and (not verify or html is not None)):
        raise typer.BadParameter(
            "expected one alarm (an id, the beginning of one, or RULE@ASSET), or --all --verify"
        )
    _one_site(ledger, kafka, partition=partition, sample=sample)
    if not every and (partition is not None or sample is not None):
        raise typer.BadParameter("--partition and --sample go with --all")
    language: Literal["zh", "en"] = "zh" if lang is Language.ZH else "en"
    if kafka is not None:
        from streams import cli_ledger_kafka  # noqa: PLC0415 - start-up

        if every:
            cli_ledger_kafka.verify_all(kafka, partition, sample, seed, as_json=as_json)
        else:
            story, outcome = cli_ledger_kafka.traced(kafka, alarm, zone, verify=verify)
            _told(story, outcome, language, html, as_json=as_json)
        return
    try:
        with _opened(ledger) as store:
            if every:
                _verify_all(store, as_json=as_json)
            else:
                story, outcome = _traced(store, alarm, zone, verify=verify)
                _told(story, outcome, language, html, as_json=as_json)
    except (StoreError, TraceError) as error:
        raise fail(str(error)) from None


def _opened(ledger: Path) -> Store:
    from streams.run.journal import DATABASE  # noqa: PLC0415 - start-up
    from streams.store import Store  # noqa: PLC0415 - start-up

    return Store(ledger / DATABASE, readonly=True)


def _site_zone(store: Store) -> str:
    """The zone of the first activation."""
    from streams.trace import content_of  # noqa: PLC0415 - start-up
    from streams.trace_ledger import zone_named  # noqa: PLC0415 - start-up

    record = next(store.records(), None)
    return zone_named(content_of(record) if record is not None else None)


def _traced(store: Store, alarm: str, zone: str, *, verify: bool) -> tuple[Story, Outcome | None]:
    from streams.run.again import again  # noqa: PLC0415 - start-up
    from streams.trace_ledger import story_of, verify_alarm  # noqa: PLC0415 - start-up

    story = story_of(store, alarm, zone or None)
    return story, verify_alarm(store, story.chronicle, again) if verify else None


def _told(
    story: Story, outcome: Outcome | None, language: Literal["zh", "en"], html: Path | None,
    *, as_json: bool,
) -> None:
    from streams.trace_story import plain  # noqa: PLC0415 - start-up
    from streams.trace_text import lines  # noqa: PLC0415 - start-up

    said = verdict(outcome, language) if outcome is not None else ""
    if html is not None:
        from streams.report import page  # noqa: PLC0415 - start-up

        _write(html, page(story, language, said))
    if as_json:
        found = plain(story)
        if outcome is not None:
            found["verified"] = plain_outcome(outcome)
        say_json(found)
    elif html is not None:
        say(str(html))
    elif outcome is None or outcome.gone:
        _print(lines(story, language))
    if outcome is not None:
        _tell(outcome, said, quiet=as_json)


def _verify_all(store: Store, *, as_json: bool) -> None:
    from streams.run.again import again  # noqa: PLC0415 - start-up
    from streams.trace_ledger import verify_all  # noqa: PLC0415 - start-up

    outcome, alarms = verify_all(store, again)
    if as_json:
        say_json({**plain_outcome(outcome), "alarms": alarms})
    said = verdict(outcome, "en")
    _tell(outcome, f"{said}; {alarms} alarms" if outcome.same else said, quiet=as_json)


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """As JSON has it."""
    return {"same": outcome.same, **asdict(outcome)}


def verdict(outcome: Outcome, language: str) -> str:
    """What running again came to, in words."""
    count, n = outcome.compared, outcome.differs
    if outcome.gone:
        return (f"无法重新运算（输入已不再保存）：{outcome.gone}；台账本身见 `tocsin ledger verify`"
                if language == "zh" else
                f"cannot be run again: {outcome.gone}; what is told stands on the ledger alone, "
                "see `tocsin ledger verify`")
    if outcome.same:
        return (f"由保存的消息重新运算：{count} 条记录逐字节一致" if language == "zh" else
                f"run again from the kept messages: the same, {count} records")
    whose = f" ({outcome.whose})" if outcome.whose else ""
    return (f"重新运算不一致：第 {n} 条记录{whose}：{outcome.how}" if language == "zh" else
            f"run again it differs: record {n}{whose}: {outcome.how}")


def _tell(outcome: Outcome, said: str, *, quiet: bool) -> None:
    if not outcome.same:
        raise fail(said)
    if not quiet:
        say(said)


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a report that was cut off would still look like one."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise fail(f"{path}: cannot be written: {error.strerror}") from None


def _print(lines: Iterable[Line]) -> None:
    """Lines, in colours on a terminal."""
    from rich.console import Console  # noqa: PLC0415 - start-up
    from rich.text import Text  # noqa: PLC0415 - start-up

    console = Console(highlight=False)
    for style, text in lines:
        if console.is_terminal:
            console.print(Text(text, style=style), soft_wrap=True)
        else:
            say(text)
