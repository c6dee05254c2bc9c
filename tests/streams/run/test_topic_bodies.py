"""Bodies of the topics: what stands there is read as it was written, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules.model import Asset
from streams.duty import pack_hash
from streams.run.topic_bodies import (
    Active,
    AlarmRow,
    AssetEntry,
    BodyError,
    Pack,
    read,
    row_of,
)
from tests.streams.cli_alarms_kit import ROWS, TRAPPED

ACTIVE = {"pack": "0011223344556677", "by": "ana", "request": "r"}
ASSET = {"id": "L1", "class": "lift", "attributes": {"floors": 8, "place": "东塔"}}


def test_a_pack_has_the_name_that_the_engine_gives_its_texts() -> None:
    pack = read('{"files": [["a.yaml", "x: 泵"], ["b.yaml", ""]]}'.encode(), Pack, 1_000)
    assert pack.texts == [("a.yaml", "x: 泵".encode()), ("b.yaml", b"")]
    assert pack.name == pack_hash(pack.texts)


def test_an_asset_is_written_as_the_engine_holds_it() -> None:
    asset = Asset("L1", "lift", {"floors": 8.0, "place": "东塔"}, {"lift.hot.for": "5 s"})
    entry = AssetEntry.of(asset)
    assert read(msgspec.json.encode(entry), AssetEntry, 1_000) == entry
    assert (entry.attributes, entry.overrides) == (asset.attributes, asset.overrides)
    assert json.loads(msgspec.json.encode(entry))["class"] == "lift"


def test_rows_are_read_whole_with_what_is_new_in_them() -> None:
    for row in ROWS:
        assert row_of(json.dumps({**row, "partition": 3}).encode(), 10_000) == {
            **row, "partition": 3}
    finished = {"alarm": TRAPPED["alarm"], "word": "normal", "finished": True}
    assert row_of(json.dumps(finished).encode(), 10_000) is None


@pytest.mark.parametrize(("kind", "good", "change"), [
    (Pack, {"files": [["a", "b"]]}, {"files": []}),
    (Pack, {"files": [["a", "b"]]}, {"files": [["a"]]}),
    (Pack, {"files": [["a", "b"]]}, {"files": [["a", "b"]] * 1_001}),
    (Pack, {"files": [["a", "b"]]}, {"x": 1}),
    (Active, ACTIVE, {"pack": "00112233"}), (Active, ACTIVE, {"by": ""}),
    (Active, ACTIVE, {"request": "r" * 129}), (Active, ACTIVE, {"shadow": 1}),
    (Active, ACTIVE, {"x": 1}),
    (AssetEntry, ASSET, {"id": ""}), (AssetEntry, ASSET, {"id": "x" * 129}),
    (AssetEntry, ASSET, {"class": None}), (AssetEntry, ASSET, {"attributes": {"a": [1]}}),
    (AssetEntry, ASSET, {"attributes": {str(i): 1 for i in range(1_001)}}),
    (AssetEntry, ASSET, {"x": 1}),
    (AlarmRow, TRAPPED, {"alarm": "0"}), (AlarmRow, TRAPPED, {"word": "odd"}),
    (AlarmRow, TRAPPED, {"severity": "mauve"}), (AlarmRow, TRAPPED, {"seq": "1"}),
    (AlarmRow, TRAPPED, {"acknowledged": {"by": "ana"}}), (AlarmRow, TRAPPED, {"title": {}}),
    (AlarmRow, TRAPPED, {"steps": [{"step": "close"}]}), (AlarmRow, TRAPPED, {"shelf": {"t": 1}}),
])  # fmt: skip
def test_one_mistake_is_found(
    kind: type[msgspec.Struct], good: dict[str, Any], change: dict[str, Any]
) -> None:
    assert read(json.dumps(good).encode(), kind, 100_000)
    with pytest.raises(BodyError, match="not as Tocsin writes it: "):
        read(json.dumps({**good, **change}).encode(), kind, 100_000)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"a": "\xff"}', b"[" * 9_000])
def test_what_is_no_body_is_refused(data: bytes) -> None:
    kinds: list[type[msgspec.Struct]] = [Pack, Active, AssetEntry, AlarmRow]
    for kind in kinds:
        with pytest.raises(BodyError, match="not as Tocsin writes it: "):
            read(data, kind, 10_000)


def test_a_body_has_a_bound() -> None:
    with pytest.raises(BodyError, match="found 101 bytes, expected at most 100"):
        read(b" " * 101, Pack, 100)


def test_the_list_is_shown_without_the_engine_which_takes_a_second_to_import() -> None:
    code = "import sys, streams.run.client_kafka as c; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
