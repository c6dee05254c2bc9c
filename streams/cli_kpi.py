"""`tocsin kpi`: the alarm-management figures of a ledger, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli_common import USAGE, Language, LanguageOption, fail, instant, say_json
from streams.cli_settings import InsteadOption

if TYPE_CHECKING:
    from streams.kpi import Report
    from streams.ledger import Record


FOLDER = Path("tocsin-data")


class Key(StrEnum):
    """What figures can be broken down by."""

    DESK = "desk"
    CLASS = "class"
    PLACE = "place"
    RULE = "rule"


def kpi(
    *,
    ledger: Annotated[Path, typer.Option(help="The folder of the ledger.")] = FOLDER,
    begin: Annotated[
        str, typer.Option("--from", help="From here on; else the first record. ms or RFC 3339.")
    ] = "",
    to: Annotated[str, typer.Option(help="Up to here; else the last record. ms or RFC 3339.")] = "",
    by: Annotated[Key | None, typer.Option(help="Also of each of these.")] = None,
    zone: Annotated[str, typer.Option(help="Of days and times; else the ledger's.")] = "",
    lang: LanguageOption = Language.EN,
    kafka: InsteadOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Alarm-management figures beside the limits of EEMUA 191 and ISA-18.2."""
    from streams.kpi import ReportError, report  # noqa: PLC0415 - start-up
    from streams.kpi_history import HistoryError  # noqa: PLC0415 - start-up
    from streams.store import StoreError  # noqa: PLC0415 - start-up

    if kafka is not None and ledger != FOLDER:
        raise typer.BadParameter("--ledger and --kafka name two ledgers; give one")
    low = instant(begin, "--from") if begin else None
    high = instant(to, "--to") if to else None
    try:
        with _kept(ledger, kafka) as contents:
            found = report(
                contents, begin=low, end=high, by=by.value if by else None, zone=zone
            )
    except ReportError as error:
        raise fail(str(error), USAGE) from None
    except HistoryError as error:
        raise fail(f"{kafka or ledger}: {error}; `tocsin ledger verify` says more") from None
    except StoreError as error:
        raise fail(str(error)) from None
    if as_json:
        say_json(_plain(found))
    else:
        from streams.cli_kpi_tables import show  # noqa: PLC0415 - start-up

        show(found, lang.value)


@contextmanager
def _kept(ledger: Path, kafka: Path | None) -> Iterator[Iterator[dict[str, Any]]]:
    """What the records of a folder or of a deployment say."""
    if kafka is not None:
        from streams.cli_ledger_kafka import deployment  # noqa: PLC0415 - start-up

        # One partition after the other: for figures an order of each of their own is enough.
        with deployment(kafka) as ledgers, closing(ledgers.all()) as records:
            yield _contents(records)
        return
    from streams.run.journal import DATABASE  # noqa: PLC0415 - start-up
    from streams.store import Store  # noqa: PLC0415 - start-up

    with Store(ledger / DATABASE, readonly=True) as store, closing(store.records()) as kept:
        yield _contents(kept)


def _contents(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """What records say. Raises HistoryError."""
    from streams.kpi_history import HistoryError  # noqa: PLC0415 - start-up
    from streams.ledger import read  # noqa: PLC0415 - start-up

    for record in records:
        content = read(record.body)
        if content is None:
            raise HistoryError(f"record {record.n} is not a JSON object")
        yield content


def _plain(found: Report) -> dict[str, object]:
    """The report as JSON has it: times in ms and RFC 3339, shares of 1."""
    from streams.kpi_limits import LIMITS  # noqa: PLC0415 - start-up
    from streams.render import rfc3339  # noqa: PLC0415 - start-up

    period = found.period
    return {
        "from": rfc3339(period.begin), "from_ms": period.begin,
        "to": rfc3339(period.end), "to_ms": period.end,
        "zone": found.zone,
        "by": found.by,
        "desks": found.desks,
        "limits": {name: asdict(limit) for name, limit in LIMITS.items()},
        "whole": asdict(found.whole),
        "each": {key: asdict(figures) for key, figures in found.each.items()},
    }  # fmt: skip
