"""The commands of `tocsin alarms` that order something: one or several alarms, or `--all`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rules.errors import Invalid
from rules.records import CommandKind
from rules.units import milliseconds
from streams.cli_alarms_options import Alarms, By, Choice, Filters, Where, author, warn
from streams.cli_common import FAILED, JsonOption, say, say_json
from streams.cli_options import spread_out

if TYPE_CHECKING:
    from streams.run.client import Listing, Result, Row, Target

app = typer.Typer()

Fields = Annotated[list[str] | None, typer.Option("--field", metavar="NAME=TEXT",
                                                  help="A field of the step; may be repeated.")]

#: Which alarms of a list `--all` takes: those to which the order can be given.
_FITS: Mapping[CommandKind, Callable[[Row], bool]] = {
    "acknowledge": lambda row: row["acknowledged"] is None and _is_open(row),
    "unacknowledge": lambda row: row["acknowledged"] is not None and _is_open(row),
    "shelve": lambda row: row["shelf"] is None and row["service"] is None,
    "unshelve": lambda row: row["shelf"] is not None,
    "reset": lambda row: row["latched"],
    "out_of_service": lambda row: row["service"] is None,
    "in_service": lambda row: row["service"] is not None,
    "comment": lambda row: row["raised_ms"] > 0,
    "step": lambda row: bool(row["plan"]),
}
#: Orders about the rule on an asset, whichever of its alarms is named.
_OF_POINTS = frozenset({"shelve", "unshelve", "out_of_service", "in_service"})


def _is_open(row: Row) -> bool:
    hidden = ("shelved", "suppressed", "out_of_service", "normal")
    return row["raised_ms"] > 0 and row["word"] not in hidden


@app.command()
@spread_out
def ack(alarms: Alarms = None, *, where: Where, choice: Choice, filters: Filters) -> None:
    """Acknowledge alarms: somebody has seen them and looks after them."""
    _order("acknowledge", alarms, where, choice, filters)


@app.command()
@spread_out
def unack(alarms: Alarms = None, *, where: Where, choice: Choice, filters: Filters) -> None:
    """Take an acknowledgement back."""
    _order("unacknowledge", alarms, where, choice, filters)


@app.command()
@spread_out
def shelve(
    alarms: Alarms = None,
    *,
    duration: Annotated[str, typer.Option("--for", help="How long: 30m, 2 h.")],
    once: Annotated[bool, typer.Option("--once", help="Until the alarm ends, at most.")] = False,
    where: Where,
    choice: Choice,
    filters: Filters,
) -> None:
    """Put alarms aside for a while; they come back unacknowledged."""
    _needs_reason(choice)
    more = {"duration_ms": duration_ms(duration), **({"once": True} if once else {})}
    _order("shelve", alarms, where, choice, filters, more)


def duration_ms(text: str) -> int:
    """As in rules, and with `m` for minutes. Wrong ones are wrong usage."""
    try:
        found = milliseconds(re.sub(r"(?<=[\d ])m\s*$", "min", text))
    except Invalid as error:
        raise typer.BadParameter(f"--for: {error.message}; {error.fix}".rstrip("; ")) from None
    if found == 0:
        raise typer.BadParameter(f"--for {text!r}: expected more than 0 s, for example 30m")
    return found


@app.command()
@spread_out
def unshelve(alarms: Alarms = None, *, where: Where, choice: Choice, filters: Filters) -> None:
    """Take alarms from the shelf."""
    _order("unshelve", alarms, where, choice, filters)


@app.command()
@spread_out
def reset(alarms: Alarms = None, *, where: Where, choice: Choice, filters: Filters) -> None:
    """Reset latched alarms whose condition is normal again."""
    _order("reset", alarms, where, choice, filters)


@app.command("out-of-service")
@spread_out
def out_of_service(
    alarms: Alarms = None, *, where: Where, choice: Choice, filters: Filters
) -> None:
    """Take alarms out of service, for work on the plant."""
    _needs_reason(choice)
    _order("out_of_service", alarms, where, choice, filters)


@app.command("in-service")
@spread_out
def in_service(alarms: Alarms = None, *, where: Where, choice: Choice, filters: Filters) -> None:
    """Bring alarms back into service."""
    _order("in_service", alarms, where, choice, filters)


@app.command()
@spread_out
def comment(
    remark: Annotated[str, typer.Argument(help="What is to be kept with the alarm.")],
    alarms: Alarms = None,
    *,
    where: Where,
    choice: Choice,
    filters: Filters,
) -> None:
    """Keep a remark with alarms."""
    if choice.reason:
        raise typer.BadParameter("the comment is the first word; leave --comment out")
    _order("comment", alarms, where, choice, filters, {"reason": remark})


@app.command()
@spread_out
def step(
    name: Annotated[str, typer.Argument(help="The step of the plan.")],
    alarms: Alarms = None,
    *,
    fields: Fields = None,
    where: Where,
    choice: Choice,
    filters: Filters,
) -> None:
    """Note that a step of the plan is done."""
    more = {"step": name, "fields": _fields(fields or ())}
    _order("step", alarms, where, choice, filters, more)


@app.command()
@spread_out
def close(
    alarms: Alarms = None,
    *,
    cause: Annotated[str, typer.Option(help="Code or words for what caused it.")],
    responsible: Annotated[str, typer.Option(help="Who answers for it.")],
    action: Annotated[str, typer.Option(help="What is done so that it does not come again.")],
    fields: Fields = None,
    where: Where,
    choice: Choice,
    filters: Filters,
) -> None:
    """Close the loop of alarms: cause, who answers for it, corrective action."""
    given = {"cause_code": cause, "responsible": responsible, "corrective_action": action}
    more = {"step": "close", "fields": given | _fields(fields or ())}
    _order("step", alarms, where, choice, filters, more, fits=_can_close)


def _can_close(row: Row) -> bool:
    return row["loop"] == "open" and not row["active"] and not row["latched"]


def _fields(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"--field {one!r}: expected NAME=TEXT, as cause_code=C3")
        if name.strip() in found:
            raise typer.BadParameter(f"--field {name.strip()} is given twice")
        found[name.strip()] = text
    return found


@app.command("set", context_settings={"ignore_unknown_options": True})     # -5 is a value
@spread_out
def set_signal(
    signal: Annotated[str, typer.Argument(help="A signal that operators enter.")],
    value: Annotated[str, typer.Argument(help="true, false, a number, a state's name or code.")],
    *,
    asset: Annotated[list[str], typer.Option(help="Of this asset; may be repeated.")],
    where: Where,
    by: By,
    reason: Annotated[str, typer.Option("--reason", "--comment", help="Why.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Enter the value of a signal."""
    author(by)
    client = where.client()
    why = {"reason": reason} if reason else {}
    commands = [
        {"command": "set", "signal": signal, "value": _value(value), "asset": one, **why}
        for one in asset
    ]
    results = client.order(commands, by)
    _tell([f"{signal}@{one}" for one in asset], results, as_json=as_json)


def _value(text: str) -> bool | float | str:
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _needs_reason(choice: Choice) -> None:
    if not choice.reason.strip():
        raise typer.BadParameter("--reason is needed: it is kept, and whoever comes next reads it")


def _order(
    kind: CommandKind,
    alarms: list[str] | None,
    where: Where,
    choice: Choice,
    filters: Filters,
    more: Mapping[str, object] | None = None,
    *,
    fits: Callable[[Row], bool] | None = None,
) -> None:
    """Gives an order for each of the alarms. What fails is named, the others are carried out."""
    author(choice.by)
    if bool(alarms) == choice.every:
        raise typer.BadParameter("name alarms, or all that fit with --all; either, not both")
    if alarms and filters != Filters():
        raise typer.BadParameter("filters choose among --all; leave them out, or name no alarm")
    client = where.client()
    listing = where.listing(client)
    if alarms:
        targets, missing = _named(alarms, listing)
    else:
        targets, missing = _all(listing, filters, fits or _FITS[kind]), 0
    if kind in _OF_POINTS:
        targets = list({(one.rule, one.asset): one for one in targets}.values())
    why = {"reason": choice.reason} if choice.reason else {}
    commands = [{"command": kind, **why, **one.about(), **(more or {})} for one in targets]
    results = client.order(commands, choice.by)
    _tell(list(map(str, targets)), results, as_json=choice.as_json, missing=missing)


def _named(alarms: Sequence[str], listing: Listing) -> tuple[list[Target], int]:
    """The alarms that are meant, each once, and how many words mean none."""
    from streams.run.client import ClientError, target  # noqa: PLC0415 - start-up

    found: dict[Target, None] = {}
    missing = 0
    for said in alarms:
        try:
            found[target(said, listing.rows)] = None
        except ClientError as error:
            warn(str(error))
            missing += 1
    return list(found), missing


def _all(listing: Listing, filters: Filters, fits: Callable[[Row], bool]) -> list[Target]:
    from streams.run.client import Target  # noqa: PLC0415 - start-up

    return [Target.of(row) for row in listing.rows if fits(row) and filters.keeps(row)]


def _tell(
    names: Sequence[str], results: Sequence[Result], *, as_json: bool, missing: int = 0
) -> None:
    """What came of the orders; ends the command with 1 unless all were accepted."""
    refused = missing
    for name, result in zip(names, results, strict=True):
        if as_json:
            say_json({"about": name, **result})
        if result["result"] != "accepted":
            refused += 1
            warn(f"{name}: {result['result']}: {result.get('why', '')}")
    if not as_json:
        said = f", {refused} not" if refused else ""
        say(f"{len(names) + missing - refused} accepted{said}")
    if refused:
        raise typer.Exit(FAILED)
