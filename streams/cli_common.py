"""What the commands share: exit codes, loading rules, telling problems.

Exit codes: 0 all is well, 1 a check or test failed or a fault occurred, 2 wrong usage.
Errors go to stderr, what was asked for to stdout.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from rules.errors import Problem

if TYPE_CHECKING:  # the loader takes a moment to import, and `--version` does not need it
    from rules.load import Loaded

FAILED = 1
USAGE = 2


class Language(StrEnum):
    """The languages that texts come in."""

    ZH = "zh"
    EN = "en"


def existing(paths: Sequence[Path]) -> list[Path]:
    """The paths, all of which exist. A missing one is wrong usage."""
    for path in paths:
        if not path.exists():
            raise typer.BadParameter(f"{path}: no such file or folder")
    return list(paths)


def instant(text: str, option: str) -> int:
    """A time in ms since 1970, from that number or RFC 3339. Anything else is wrong usage."""
    from streams.decode import MS_BELOW, Refuse, time_ms  # noqa: PLC0415 - start-up

    try:
        t = int(text) if text.lstrip("-").isdecimal() else time_ms(text)
        if abs(t) < MS_BELOW:
            return t
    except (Refuse, ValueError):
        pass
    expected = "ms since 1970 or RFC 3339 with an offset, as 2026-03-01T06:00:00Z"
    raise typer.BadParameter(f"{option} {text!r}: expected {expected}")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = "a name like Asia/Shanghai or UTC"
        raise typer.BadParameter(f"{name!r} is no time zone; expected {hint}") from None
    return name


RulePaths = Annotated[
    list[Path],
    typer.Argument(help="Rule files, or folders of them.", callback=existing, show_default=False),
]
RulesOption = Annotated[
    list[Path],
    typer.Option("--rules", help="Rule files, or folders of them.", callback=existing),
]
ZoneOption = Annotated[str, typer.Option(help="The site's time zone.", callback=_zone)]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
LanguageOption = Annotated[Language, typer.Option(help="The language of texts.")]


def fail(text: str, code: int = FAILED) -> typer.Exit:
    """Tells an error on stderr; to be raised."""
    print(f"tocsin: {text}", file=sys.stderr)  # noqa: T201 - a command prints
    return typer.Exit(code)


def say(text: str) -> None:
    """Prints what was asked for."""
    print(text)  # noqa: T201 - a command prints


def say_json(value: object) -> None:
    """Prints one line of JSON."""
    say(json.dumps(value, ensure_ascii=False))


def tell(problems: Iterable[Problem]) -> None:
    """Prints problems, errors to stderr and findings to stdout."""
    for problem in problems:
        fix = f"; {problem.fix}" if problem.fix else ""
        at = f"{problem.at.path}:{problem.at.line}:{problem.at.column}"
        stream = sys.stderr if problem.kind == "error" else sys.stdout
        print(f"{at}: {problem.kind}: {problem.message}{fix}", file=stream)


def loaded(paths: Sequence[Path], zone: str = "UTC") -> Loaded:
    """Loads rules; with errors in them they are told and the command ends with 1."""
    from rules.load import load  # noqa: PLC0415 - see TYPE_CHECKING above

    found = load(paths, ZoneInfo(zone))
    if found.pack is None:
        tell(problem for problem in found.problems if problem.kind == "error")
        raise fail("the rules have errors")
    return found
