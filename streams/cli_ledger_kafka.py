"""`tocsin ledger`, `trace` and `kpi` of a deployment on Kafka (`--kafka SETTINGS`)."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from streams.cli_common import FAILED, fail, say, say_json
from streams.cli_settings import on_kafka, settings_of

if TYPE_CHECKING:  # the clients take a moment to import
    from streams.run.ledgers import Ledgers, Outcome, Tally
    from streams.trace_ledger import Outcome as Result
    from streams.trace_story import Story


@contextmanager
def deployment(path: Path) -> Iterator[Ledgers]:
    """The ledgers of a deployment. What goes wrong is told, and the command ends with 1."""
    kafka = settings_of(path).kafka
    from streams.run.ledgers import Ledgers  # noqa: PLC0415 - start-up
    from streams.trace import TraceError  # noqa: PLC0415 - start-up

    try:
        with on_kafka():
            yield Ledgers(kafka)
    except TraceError as error:
        raise fail(str(error)) from None


def chosen(ledgers: Ledgers, partition: int | None) -> Sequence[int]:
    """The partition asked for, or all. One that is not there is wrong usage."""
    if partition is None:
        return range(ledgers.total)
    if not 0 <= partition < ledgers.total:
        raise typer.BadParameter(
            f"--partition {partition}: expected one of 0 to {ledgers.total - 1}")
    return [partition]


# tocsin ledger --------------------------------------------------------------------------------


def verify(path: Path, partition: int | None, head: str, *, as_json: bool) -> None:
    """Whether the ledgers are whole."""
    from streams.run.ledgers import check  # noqa: PLC0415 - start-up

    with deployment(path) as ledgers:
        outcome = check(ledgers, chosen(ledgers, partition), head.lower())
    if as_json:
        say_json(_plain(outcome))
    else:
        _tell(outcome)
    if not outcome.whole:
        raise typer.Exit(FAILED)


def _plain(outcome: Outcome) -> dict[str, Any]:
    faults = [{"partition": None if at < 0 else at, **asdict(fault)}
              for at, fault in outcome.faults]
    return {
        "whole": outcome.whole, "records": outcome.records,
        "partitions": [
            {"partition": one.partition, "records": one.records, "head": one.head,
             "owners": one.owners, "passed_over": one.passed_over, "foreign": one.foreign}
            for one in outcome.partitions
        ],
        "faults": faults, "notes": outcome.notes,
    }  # fmt: skip


def _tell(outcome: Outcome) -> None:
    for _, fault in outcome.faults:
        sys.stderr.write(f"{fault.text}\n")
    for note in outcome.notes:
        say(f"note: {note}")
    for one in outcome.partitions:
        say(_line(one))
    if outcome.whole:
        say(f"whole: {outcome.records} records in {len(outcome.partitions)} partitions")


def _line(one: Tally) -> str:
    newest = f", the newest {one.head}" if one.head else ""
    passed = (f"; passed over: {one.passed_over} of owners that were fenced off"
              if one.passed_over else "")
    return f"partition {one.partition}: {one.records} records{newest}; {one.owners} owners{passed}"


def show(
    path: Path, partition: int | None, first: int, rule: str, asset: str, zone: str, lang: str,
    *, as_json: bool,
) -> None:
    """The records as lines, one partition after the other."""
    from streams.run.alerts import line  # noqa: PLC0415 - start-up
    from streams.trace import content_of  # noqa: PLC0415 - start-up
    from streams.trace_ledger import zone_named  # noqa: PLC0415 - start-up
    from streams.trace_text import shown  # noqa: PLC0415 - start-up

    with deployment(path) as ledgers:
        parts = chosen(ledgers, partition)
        if asset and partition is None:
            parts = [ledgers.place(asset)]
        for number in parts:
            named = zone
            for record in ledgers.records(number):
                content = content_of(record)
                named = named or zone_named(content)
                if record.n < first or (rule and content.get("rule") != rule) or (
                    asset and content.get("asset") != asset
                ):
                    continue
                if as_json:
                    said = line(record).decode().rstrip("\n")
                    say(f'{said[:-1]},"partition":{number}}}')
                else:
                    say(f"{number} {shown(content, 'zh' if lang == 'zh' else 'en', named)}")


# tocsin trace ---------------------------------------------------------------------------------


def traced(
    path: Path, alarm: str, zone: str, *, verify: bool
) -> tuple[Story, Result | None]:
    """The story of an alarm, and what running it again came to, if that is asked for."""
    from streams.run.again_topics import Player, verify_alarm  # noqa: PLC0415 - start-up
    from streams.run.ledgers import Shelf  # noqa: PLC0415 - start-up
    from streams.trace import Search  # noqa: PLC0415 - start-up
    from streams.trace_ledger import telling  # noqa: PLC0415 - start-up

    with deployment(path) as ledgers:
        search = Search(alarm)
        with closing(_where(ledgers, search.asset)) as records:
            meant = search.look(records)
        at = ledgers.place(meant.asset)
        shelf = Shelf(ledgers, at, everywhere=meant.raised_ms if meant.group else None)
        others = [Shelf(ledgers, one) for one in range(ledgers.total) if one != at]
        story = telling(shelf, meant, zone or None, shelf.messages, others)
        outcome = verify_alarm(Player(ledgers), at, story.chronicle) if verify else None
    return story, outcome


def _where(ledgers: Ledgers, asset: str) -> Generator[Any, None, None]:
    return ledgers.records(ledgers.place(asset)) if asset else ledgers.all()


def verify_all(
    path: Path, partition: int | None, sample: int | None, seed: int, *, as_json: bool
) -> None:
    """Runs partitions again and says what came of each."""
    from streams.cli_ledger import plain_outcome, verdict  # noqa: PLC0415 - start-up
    from streams.run.again_topics import Player  # noqa: PLC0415 - start-up
    from streams.run.again_topics import verify_all as each  # noqa: PLC0415 - start-up

    proofs, wrong = [], list[str]()
    with deployment(path) as ledgers:
        parts = chosen(ledgers, partition)
        for one in each(Player(ledgers), parts, sample, seed):
            said = f"partition {one.partition}: {verdict(one.outcome, 'en')}"
            if not one.outcome.same:
                wrong.append(said)
            elif not as_json:
                say(f"{said}; {one.alarms} of {one.of} alarms")
            proofs.append(one)
    if as_json:
        say_json({
            "same": not wrong, "alarms": sum(one.alarms for one in proofs),
            "compared": sum(one.outcome.compared for one in proofs),
            "partitions": [
                {"partition": one.partition, **plain_outcome(one.outcome), "alarms": one.alarms}
                for one in proofs
            ],
        })  # fmt: skip
    if wrong:
        raise fail("\n".join(wrong))
