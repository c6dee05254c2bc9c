"""`tocsin rules …`: the author's tools."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rules.errors import Invalid, Problem
from rules.records import Command, Message, Transition
from streams.cli_common import (
    FAILED,
    JsonOption,
    Language,
    LanguageOption,
    RulePaths,
    RulesOption,
    ZoneOption,
    existing,
    fail,
    loaded,
    say,
    say_json,
    tell,
)

if TYPE_CHECKING:
    from rules.cases import Case
    from rules.load import Loaded
    from rules.model import Asset, Pack
    from streams.site import Site

app = typer.Typer(no_args_is_help=True, help="Check, test and explain rules.")


class Form(StrEnum):
    """How a graph is drawn."""

    MERMAID = "mermaid"
    TEXT = "text"


@app.command()
def check(
    paths: RulePaths,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Findings fail too.")] = False,
    as_json: JsonOption = False,
    lang: LanguageOption = Language.EN,
) -> None:
    """All errors in rules at once, then what is probably not meant."""
    from rules.load import load  # noqa: PLC0415 - start-up

    found = load(paths)
    errors = [problem for problem in found.problems if problem.kind == "error"]
    errors += [problem for case in found.cases for problem in case.problems]
    findings = [problem for problem in found.problems if problem.kind != "error"]
    findings += _lint(found, lang)
    if as_json:
        for problem in errors + findings:
            say_json(_plain(problem))
    else:
        tell(errors)
        tell(findings)
        files = len(found.sources)
        say(f"{files} {_plural('file', files)}: {len(errors)} {_plural('error', len(errors))}, "
            f"{len(findings)} {_plural('finding', len(findings))}")  # fmt: skip
    if errors or (strict and findings):
        raise typer.Exit(FAILED)


def _lint(found: Loaded, lang: str) -> list[Problem]:
    if found.pack is None:
        return []
    from rules.lint import lint  # noqa: PLC0415 - start-up

    tested = {line.rule for case in found.cases for line in case.expect}
    return lint(found.pack, tested, lang)


def _plain(problem: Problem) -> dict[str, object]:
    return {
        "path": problem.at.path, "line": problem.at.line, "column": problem.at.column,
        "kind": problem.kind, "message": problem.message, "fix": problem.fix,
    }  # fmt: skip


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


@dataclass(frozen=True)
class _CaseSite:
    """A site as a case runs it."""

    site: Site

    def messages(self, messages: list[Message]) -> list[Transition]:
        """Takes messages of one time."""
        return self.site.messages(messages)

    def command(self, command: Command, t: int) -> list[Transition]:
        """Takes an operator's command; a refused one changes nothing."""
        return self.site.command(command, t)[1]

    def run_until(self, t: int) -> list[Transition]:
        """Runs every instant up to and with `t`."""
        return self.site.run_until(t)


def _maker(pack: Pack, zone: str) -> Callable[[Case], _CaseSite]:
    """Makes a fresh site for each case out of one compiled pack."""
    from streams.plant import Programs  # noqa: PLC0415 - start-up
    from streams.site import Site  # noqa: PLC0415 - start-up

    programs = Programs(pack, zone)
    return lambda case: _CaseSite(Site(pack, zone, case.assets, case.start, programs))


@app.command("test")
def run_tests(
    paths: RulePaths,
    *,
    k: Annotated[str, typer.Option("-k", help="Only tests whose name contains this.")] = "",
    as_json: JsonOption = False,
    zone: ZoneOption = "UTC",
) -> None:
    """Run the tests beside the rules, on the engine that runs live."""
    from rules.cases import run_case  # noqa: PLC0415 - start-up

    found = loaded(paths, zone)
    assert found.pack is not None
    cases = [case for case in found.cases if k.lower() in case.name.lower()]
    if not cases:
        raise fail(f"no test's name contains {k!r}" if k else "there are no tests in these files")
    maker = _maker(found.pack, zone)
    failed = 0
    for case in cases:
        verdict = run_case(case, maker)
        failed += not verdict.passed
        if as_json:
            say_json({
                "test": case.name, "path": case.at.path, "line": case.at.line,
                "passed": verdict.passed, "expected": verdict.expected, "found": verdict.found,
                "text": verdict.text,
            })  # fmt: skip
        elif not verdict.passed:
            say(f"{case.at.path}:{case.at.line}: FAILED: {case.name}\n{verdict.text}\n")
    if not as_json:
        say(f"{len(cases) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(FAILED)


@app.command()
def explain(
    rule: Annotated[str, typer.Argument(help="A rule or group.")],
    asset: Annotated[str, typer.Argument(help="An asset of the inventory.")] = "",
    *,
    rules: RulesOption,
    inventory: Annotated[Path | None, typer.Option(help="The inventory, CSV or YAML.")] = None,
    lang: LanguageOption = Language.EN,
) -> None:
    """A rule in a sentence, with its limits, signals and bytes of state."""
    from rules.explain import explain as explained  # noqa: PLC0415 - start-up

    pack = _pack(rules)
    chosen = _asset(pack, asset, inventory) if asset else None
    try:
        say(explained(pack, rule, chosen, lang))
    except Invalid as error:
        raise fail(f"{error.message}{'; ' + error.fix if error.fix else ''}") from None


def _pack(paths: list[Path]) -> Pack:
    found = loaded(paths)
    assert found.pack is not None
    return found.pack


def _asset(pack: Pack, name: str, inventory: Path | None) -> Asset:
    if inventory is None:
        raise typer.BadParameter(f"an asset needs `--inventory FILE` that lists {name}")
    found = next((one for one in assets_of(inventory, pack) if one.id == name), None)
    if found is None:
        raise fail(f"{inventory}: no asset {name}")
    return found


def assets_of(inventory: Path, pack: Pack) -> tuple[Asset, ...]:
    """The assets of an inventory; with errors in it they are told and the command ends with 1."""
    from rules.load_assets import read_inventory  # noqa: PLC0415 - start-up

    existing([inventory])
    assets, problems = read_inventory(inventory, pack)
    tell(problems)
    if any(problem.kind == "error" for problem in problems):
        raise fail("the inventory has errors")
    return assets


@app.command()
def schema() -> None:
    """The JSON Schema of rule files, for the completion and hover texts of editors."""
    from rules.document import json_schema  # noqa: PLC0415 - start-up

    json.dump(json_schema(), sys.stdout, ensure_ascii=False, indent=2)
    say("")


@app.command()
def graph(
    rule: Annotated[str, typer.Argument(help="A rule or group.")],
    *,
    rules: RulesOption,
    form: Annotated[Form, typer.Option(help="How to draw it.")] = Form.MERMAID,
) -> None:
    """The states of a rule's alarm, and what makes it go from one to another."""
    from rules.errors import near  # noqa: PLC0415 - start-up
    from rules.graph import edges, mermaid, text  # noqa: PLC0415 - start-up

    pack = _pack(rules)
    one = next((one for one in pack.rules if one.id == rule), None)
    group = next((group for group in pack.groups if group.id == rule), None)
    if one is not None:
        found = edges(one, pack.classes[one.cls])
    elif group is not None:
        found = edges(group)
    else:
        hint = near(rule, [one.id for one in pack.rules] + [group.id for group in pack.groups])
        raise fail(f"there is no rule {rule}{'; ' + hint if hint else ''}")
    say(mermaid(found) if form is Form.MERMAID else text(found))
