"""What the commands of `tocsin alarms` take: which site, which alarms, who orders and why."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from rules.model import SEVERITIES
from streams.alarms import Word
from streams.cli_common import JsonOption, Language, LanguageOption, fail
from streams.cli_settings import settings_of

if TYPE_CHECKING:
    from streams.run.client import Client, Listing, Row
    from streams.run.client_kafka import KafkaClient

OLD_MS = 5_000       # what the run said longer ago than this is marked as old


class Severity(StrEnum):
    """The severities."""

    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"


def _words(given: list[str]) -> list[str]:
    words = [word.replace("-", "_") for word in given]
    known = get_args(Word)
    for word in words:
        if word not in known:
            raise typer.BadParameter(f"{word!r}; expected one of {', '.join(known)}")
    return words


LEDGER = Path("tocsin-data")


@dataclass(frozen=True)
class Where:
    """Which site is meant: a running process, or a deployment on Kafka."""

    ledger: Annotated[Path, typer.Option(help="The folder of its ledger.")] = LEDGER
    kafka: Annotated[
        Path | None,
        typer.Option(metavar="SETTINGS", help="The settings of a deployment on Kafka, instead."),
    ] = None
    lang: LanguageOption = Language.EN

    def __post_init__(self) -> None:
        """One site, not two. Raises BadParameter."""
        if self.kafka is not None and self.ledger != LEDGER:
            raise typer.BadParameter("--ledger and --kafka name two sites; give one")

    def reach(self) -> Client | KafkaClient:
        """The site. Raises ClientError without a process; wrong settings end the command."""
        if self.kafka is not None:
            return self.deployment()
        from streams.run.client import Client  # noqa: PLC0415 - start-up

        return Client.of(self.ledger)

    def deployment(self) -> KafkaClient:
        """The deployment on Kafka, which has been named."""
        from streams.run.client_kafka import KafkaClient  # noqa: PLC0415 - start-up

        return KafkaClient(settings_of(self.kafka).kafka)

    def client(self) -> Client | KafkaClient:
        """As `reach`. Without a process, that is told and the command ends with 1."""
        from streams.run.client import ClientError  # noqa: PLC0415 - start-up

        try:
            return self.reach()
        except ClientError as error:
            raise fail(str(error)) from None

    def listing(self, client: Client | KafkaClient) -> Listing:
        """Its list, with a warning when that is old or not whole."""
        from streams.run.client import ClientError  # noqa: PLC0415 - start-up

        try:
            found = client.listing()
        except ClientError as error:
            raise fail(str(error)) from None
        if wrong := amiss(found):
            warn(wrong)
        return found


@dataclass(frozen=True)
class Filters:
    """Which alarms of the list."""

    state: Annotated[
        list[str], typer.Option(help="Only in this state; may be repeated.", callback=_words)
    ] = field(default_factory=list)
    severity: Annotated[Severity | None, typer.Option(help="At least so severe.")] = None
    asset: Annotated[str, typer.Option(help="Only of this asset.")] = ""
    rule: Annotated[str, typer.Option(help="Only of this rule; `lift.*`: of all below.")] = ""
    place: Annotated[str, typer.Option(help="Only at this place.")] = ""
    desk: Annotated[str, typer.Option(help="Only of this desk.")] = ""
    text: Annotated[str, typer.Option(help="Only with this in their texts.")] = ""
    hazards: Annotated[bool, typer.Option("--hazards", help="Only records of hazards.")] = False

    def keeps(self, row: Row) -> bool:
        """Whether a row is one of them."""
        below = self.rule.removesuffix("*") if self.rule.endswith(".*") else ""
        texts = [row["rule"], row["asset"], *row["title"].values(), *row["text"].values()]
        return (
            (not self.state or row["word"] in self.state)
            and (self.severity is None
                 or SEVERITIES.get(row["severity"], 0) >= SEVERITIES[self.severity])
            and self.asset in ("", row["asset"])
            and (self.rule in ("", row["rule"]) or bool(below and row["rule"].startswith(below)))
            and self.place in ("", row["place"])
            and self.desk in ("", row["desk"])
            and any(self.text.lower() in text.lower() for text in texts)
            and (not self.hazards or row["hazard"])
        )  # fmt: skip


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


By = Annotated[
    str, typer.Option(default_factory=_user, help="Who orders it.", show_default="login name")
]


def author(by: str) -> None:
    """Nothing is ordered by nobody. Raises BadParameter."""
    if not by.strip():
        raise typer.BadParameter("--by: say who orders it")



@dataclass(frozen=True)
class Choice:
    """Which alarms an order is for, who gives it and why."""

    by: By
    every: Annotated[
        bool, typer.Option("--all", help="All of the list that it fits, as the filters say.")
    ] = False
    reason: Annotated[
        str, typer.Option("--reason", "--comment", help="Why; it is kept with the order.")
    ] = ""
    as_json: JsonOption = False


Alarms = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ALARM", show_default=False,
        help="An id, its first characters (4 or more), or RULE@ASSET.",
    ),
]  # fmt: skip


def amiss(listing: Listing) -> str:
    """What is said of a list that is old or not whole; else nothing."""
    if listing.age_ms > OLD_MS:
        return (f"the run has said nothing for {listing.age_ms / 1000:.0f} s; what is shown is as "
                "old")  # fmt: skip
    return listing.warning


def warn(text: str) -> None:
    """Tells on stderr, and goes on."""
    print(f"tocsin: {text}", file=sys.stderr)  # noqa: T201 - a command prints
