import gzip
import itertools
from pathlib import Path

import pytest

from connectors.files import (
    TEP_COLUMNS,
    Recording,
    RecordingError,
    class_of,
    has_times,
    merged,
    messages,
)
from rules.records import Message

DEMO = Path(__file__).parents[2] / "deploy" / "demo"
HOUR = 3_600_000


def test_a_tep_recording_is_named_converted_and_timed() -> None:
    path = DEMO / "tep" / "d06_te.dat.gz"
    found = list(messages(Recording(path, "R", "reactor", start=1000, skip_ms=8 * HOUR)))
    assert len(found) == 960 - 160
    assert [m.t for m in found[:2]] == [1000, 181_000]
    assert len(found[0].values) == 52
    assert found[0].values["a_feed"] == 0.17792        # 1.7792e-4 kscmh: the feed is gone
    assert found[-1].values["pressure"] == 3000.0


def test_only_wanted_signals_are_read() -> None:
    path = DEMO / "tep" / "d00_te.dat.gz"
    found = next(messages(Recording(path, "R", "reactor", 0, signals=["temp", "cooling_valve"])))
    assert found.values == {"temp": 120.4, "cooling_valve": 41.384}


def test_the_52_columns_have_52_names() -> None:
    assert len({name for name, _ in TEP_COLUMNS}) == 52


def test_the_nab_recording_comes_in_order_of_time_though_its_clock_went_back() -> None:
    path = DEMO / "nab" / "machine_temperature_system_failure.csv.gz"
    found = list(messages(Recording(path, "M", "machine")))
    assert len(found) == 22_695
    assert all(a.t <= b.t for a, b in itertools.pairwise(found))
    assert found[0] == Message("M", "machine", 1_386_018_900_000, {"temp": 73.96732207})


def test_a_recording_can_be_moved_in_time() -> None:
    path = DEMO / "nab" / "machine_temperature_system_failure.csv.gz"
    found = next(messages(Recording(path, "M", "machine", start=5000, skip_ms=10 * 60_000)))
    assert (found.t, found.values) == (5000, {"temp": 76.12416182})


def test_json_lines_are_sorted_and_ticks_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write('{"asset":"a","class":"c","t":9,"values":{"x":[1]},"historical":true}\n\n')
        file.write('{"tick":3}\n{"asset":"b","class":"c","t":2,"values":{"x":null}}')
    assert list(messages(Recording(path, "", ""))) == [
        Message("b", "c", 2, {"x": None}),
        Message("a", "c", 9, {"x": [1]}, historical=True),
    ]


def test_streams_are_merged_by_time_and_ties_keep_their_order() -> None:
    def stream(asset: str, *times: int) -> list[Message]:
        return [Message(asset, "c", t, {}) for t in times]

    found = merged([stream("a", 1, 5, 5), stream("b", 0, 5)])
    assert [(m.t, m.asset) for m in found] == [(0, "b"), (1, "a"), (5, "a"), (5, "a"), (5, "b")]


def test_what_a_file_is_follows_from_its_name() -> None:
    assert (class_of(Path("x.dat")), class_of(Path("x.csv.gz"))) == ("reactor", "machine")
    assert class_of(Path("x.jsonl")) is None
    assert not has_times(Path("x.dat.gz"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.dat", b"1 2 3\n", "a.dat:1: 3 columns; .* has 52"),
        ("a.dat", b"1 " * 51 + b"x", "a.dat:1: 'x' is not a number"),
        ("a.dat", b"1 " * 51 + b"nan", "not a finite number"),
        ("a.csv", b"time;value\n", "a.csv:1: starts with 'time;value'; expected the header"),
        ("a.csv", b"timestamp,value\nyesterday,5\n", "a.csv:2: 'yesterday' is not a time"),
        ("a.csv", b"timestamp,value\n2014-01-01 00:00:00\n", "a.csv:2: '' is not a number"),
        ("a.jsonl", b"{}\n", "a.jsonl:1: expected"),
        ("a.jsonl", b'{"asset":"a","class":"c","t":1.5,"values":{}}', "a.jsonl:1: expected"),
        ("a.jsonl", b"nonsense", "a.jsonl:1: not JSON"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1: not JSON"),
        ("a.jsonl", b"\xff\xfe", "not a text in UTF-8"),
        ("a.dat.gz", b"not gzipped", "cannot be read"),
        ("a.dat.gz", gzip.compress(b"1 " * 900)[:30], "cannot be read"),
        ("a.jsonl", b"x" * 1_100_000, "longer than"),
    ],
)
def test_bad_files_are_named_with_their_line(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        list(messages(Recording(path, "a", "c", 0)))


def test_a_missing_file_and_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        list(messages(Recording(tmp_path / "a.csv", "a", "c")))
    with pytest.raises(RecordingError, match=r"expected \.dat"):
        messages(Recording(tmp_path / "a.xlsx", "a", "c"))


def test_a_file_without_times_needs_a_start() -> None:
    with pytest.raises(RecordingError, match="say when it starts"):
        next(messages(Recording(DEMO / "tep" / "d00_te.dat.gz", "R", "reactor")))
