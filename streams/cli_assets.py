"""`tocsin assets`: the inventory of a deployment on Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli_common import JsonOption, existing, fail, loaded, say, say_json, tell
from streams.cli_settings import KafkaOption, on_kafka, settings_of

if TYPE_CHECKING:

    from rules.model import Asset, Pack
    from streams.run.topic_bodies import AssetEntry
    from streams.settings import Kafka

app = typer.Typer(no_args_is_help=True, help="The inventory on Kafka.")

_SHOWN = 20     # ids that are told at most


@app.command()
def put(
    files: Annotated[
        list[Path],
        typer.Argument(help="Inventories: CSV, YAML, JSON or JSONL.", callback=existing,
                       show_default=False),
    ],
    *,
    kafka: KafkaOption = None,
    rules: Annotated[
        list[Path],
        typer.Option("--rules", help="Rules to check it against; else those that are active.",
                     callback=existing),
    ] = [],  # noqa: B006 - as in the other commands
    as_json: JsonOption = False,
) -> None:
    """Take assets in, or change them; others stay as they are."""
    from streams.run.site_kafka import change_inventory, inventory_of  # noqa: PLC0415 - start-up
    from streams.run.topic_bodies import AssetEntry  # noqa: PLC0415 - start-up

    settings = settings_of(kafka).kafka
    pack = loaded(rules).pack if rules else _active(settings)
    assert pack is not None
    entries = [AssetEntry.of(asset) for asset in _read(files, pack)]
    with on_kafka():
        there = inventory_of(settings)
        changed = [entry for entry in entries if there.get(entry.id) != entry]
        change_inventory(settings, changed)
    new = [entry for entry in changed if entry.id not in there]
    counts = {"new": len(new), "changed": len(changed) - len(new),
              "unchanged": len(entries) - len(changed)}  # fmt: skip
    if as_json:
        say_json(counts)
    else:
        say(", ".join(f"{count} {what}" for what, count in counts.items()))


def _active(settings: Kafka) -> Pack:
    """The rules that were activated last. Without any, that is told and the command ends."""
    from rules.load import load_texts  # noqa: PLC0415 - start-up
    from streams.run.site_kafka import active_of, pack_of  # noqa: PLC0415 - start-up

    with on_kafka():
        found = active_of(settings)
        if found is None:
            raise fail("an inventory is checked against rules, and none were ever activated; name "
                       "them with --rules PATH, or activate them before")
        pack = load_texts(pack_of(settings, found.active.pack).texts).pack
    if pack is None:
        raise fail(f"the active rules (pack {found.active.pack}) are none to this version; name "
                   "others with --rules PATH")
    return pack


def _read(files: Sequence[Path], pack: Pack) -> list[Asset]:
    """The assets of all files, each once; what is wrong with them is told and ends the command."""
    from rules.load_assets import read_inventory  # noqa: PLC0415 - start-up
    from streams.assets import is_asset_id  # noqa: PLC0415 - start-up

    found: dict[str, Asset] = {}
    wrong = 0
    for path in files:
        assets, problems = read_inventory(path, pack)
        tell(problems)
        wrong += sum(problem.kind == "error" for problem in problems)
        for asset in assets:
            if not is_asset_id(asset.id):
                raise fail(f"{path}: the id {asset.id[:60]!r}; expected 1 to 128 characters, none "
                           "of them a control character")
            if asset.id in found:
                raise fail(f"{path}: {asset.id} is in two files; leave it out of one")
            found[asset.id] = asset
    if wrong:
        raise fail("the inventory has errors; nothing was written")
    return list(found.values())


@app.command("list")
def show_list(*, kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """The assets, by id."""
    from streams.run.site_kafka import inventory_of  # noqa: PLC0415 - start-up

    with on_kafka():
        found = inventory_of(settings_of(kafka).kafka)
    for one in found.values():
        if as_json:
            say_json({"id": one.id, "class": one.cls, "attributes": one.attributes,
                      "overrides": one.overrides})  # fmt: skip
        else:
            say(_line(one))


def _line(one: AssetEntry) -> str:
    said = [f"{key}={value}" for key, value in (*one.attributes.items(), *one.overrides.items())]
    return "  ".join([one.id, one.cls, *said])


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Assets.", show_default=False)],
    *,
    kafka: KafkaOption = None,
) -> None:
    """Take assets out. An asset that goes on to send is heard as one that is not listed."""
    from streams.run.site_kafka import change_inventory, inventory_of  # noqa: PLC0415 - start-up

    settings = settings_of(kafka).kafka
    with on_kafka():
        there = inventory_of(settings)
        gone = [one for one in dict.fromkeys(ids) if one in there]
        change_inventory(settings, (), gone)
    missing = [one for one in dict.fromkeys(ids) if one not in there]
    say(f"{len(gone)} removed")
    if missing:
        some = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        raise fail(f"not in the inventory: {some}")
