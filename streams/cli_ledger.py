"""`tocsin trace` and `tocsin ledger …`: what was written down, shown and proven."""

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

if TYPE_CHECKING:
    from streams.store import Store
    from streams.trace_ledger import Outcome
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
FOLDER = Path("tocsin-data")


@app.command()
def verify(
    *,
    ledger: LedgerOption = FOLDER,
    head: Annotated[str, typer.Option(help="A record's hash, noted elsewhere, to be found.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Whether the ledger is whole: names the first record changed, missing or out of its place."""
    from streams.store import StoreError  # noqa: PLC0415 - start-up
    from streams.trace_check import check  # noqa: PLC0415 - start-up

    if head and not (len(head) == 64 and set(head.lower()) <= set("0123456789abcdef")):
        raise typer.BadParameter(f"--head {head!r}: expected the 64 hex digits of a record's hash")
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
    as_json: JsonOption = False,
) -> None:
    """The records as lines (with --json as they are, with their hashes)."""
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
) -> None:
    """The whole story of an alarm: readings, rule as it stood, records, figures."""
    from streams.store import StoreError  # noqa: PLC0415 - start-up
    from streams.trace import TraceError  # noqa: PLC0415 - start-up

    if every != (not alarm) or (every and (not verify or html is not None)):
        raise typer.BadParameter(
            "expected one alarm (an id, the beginning of one, or RULE@ASSET), or --all --verify"
        )
    try:
        with _opened(ledger) as store:
            if every:
                _verify_all(store, as_json=as_json)
            else:
                _trace(store, alarm, zone, lang.value, html, as_json=as_json, verify=verify)
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


def _trace(
    store: Store, alarm: str, zone: str, lang: str, html: Path | None, *, as_json: bool,
    verify: bool,
) -> None:  # fmt: skip
    from streams.run.again import again  # noqa: PLC0415 - start-up
    from streams.trace_ledger import story_of, verify_alarm  # noqa: PLC0415 - start-up
    from streams.trace_story import plain  # noqa: PLC0415 - start-up
    from streams.trace_text import lines  # noqa: PLC0415 - start-up

    story = story_of(store, alarm, zone or None)
    language: Literal["zh", "en"] = "zh" if lang == "zh" else "en"
    outcome = verify_alarm(store, story.chronicle, again) if verify else None
    said = _verdict(outcome, language) if outcome is not None else ""
    if html is not None:
        from streams.report import page  # noqa: PLC0415 - start-up

        _write(html, page(story, language, said))
    if as_json:
        found = plain(story)
        if outcome is not None:
            found["verified"] = _plain(outcome)
        say_json(found)
    elif html is not None:
        say(str(html))
    elif not verify:
        _print(lines(story, language))
    if outcome is not None:
        _tell(outcome, said, quiet=as_json)


def _verify_all(store: Store, *, as_json: bool) -> None:
    from streams.run.again import again  # noqa: PLC0415 - start-up
    from streams.trace_ledger import verify_all  # noqa: PLC0415 - start-up

    outcome, alarms = verify_all(store, again)
    if as_json:
        say_json({**_plain(outcome), "alarms": alarms})
    said = _verdict(outcome, "en")
    _tell(outcome, f"{said}; {alarms} alarms" if outcome.same else said, quiet=as_json)


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {"same": outcome.same, **asdict(outcome)}


def _verdict(outcome: Outcome, language: str) -> str:
    """What running again came to, in words."""
    count, n = outcome.compared, outcome.differs
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
