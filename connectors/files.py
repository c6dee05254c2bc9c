"""Recordings: files of past readings, played as messages in order of time.

    *.dat, *.dat.gz        Tennessee Eastman: 52 columns, no times, one record every 180 s
    *.csv, *.csv.gz        Numenta (NAB): `timestamp,value`, times taken as UTC
    *.jsonl, *.jsonl.gz    one message a line: {"asset", "class", "t": ms, "values": {…}}

Readers raise RecordingError, which names file and line, what was found and what was expected.
Files are read as a stream, but for NAB's, which is sorted first (its clock once went back an hour).
"""

from __future__ import annotations

import gzip
import heapq
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rules.records import Message

LINE = 1 << 20           # longest line read, characters
TEP_PERIOD_MS = 180_000

_ANALYSERS = "abcdef"
#: Column -> (signal, factor into its unit). Flows in kscmh become m³/h.
TEP_COLUMNS: tuple[tuple[str, float], ...] = (
    ("a_feed", 1000), ("d_feed", 1), ("e_feed", 1), ("total_feed", 1000), ("recycle", 1000),
    ("reactor_feed", 1000), ("pressure", 1), ("level", 1), ("temp", 1), ("purge", 1000),
    ("separator_temp", 1), ("separator_level", 1), ("separator_pressure", 1),
    ("separator_underflow", 1), ("stripper_level", 1), ("stripper_pressure", 1),
    ("stripper_underflow", 1), ("stripper_temp", 1), ("steam", 1), ("compressor_power", 1),
    ("cooling_temp", 1), ("condenser_temp", 1),
    *((f"feed_{x}", 1.0) for x in _ANALYSERS),
    *((f"purge_{x}", 1.0) for x in _ANALYSERS + "gh"),
    *((f"product_{x}", 1.0) for x in "defgh"),
    ("d_feed_valve", 1), ("e_feed_valve", 1), ("a_feed_valve", 1), ("total_feed_valve", 1),
    ("recycle_valve", 1), ("purge_valve", 1), ("separator_valve", 1), ("stripper_valve", 1),
    ("steam_valve", 1), ("cooling_valve", 1), ("condenser_valve", 1),
)  # fmt: skip


class RecordingError(Exception):
    """A recording cannot be read."""


@dataclass(frozen=True)
class Recording:
    """A file to play. Its moment `skip_ms` after its first record is played at `start`.

    Without `start` its own times stand; a file without times needs one. `signals` are those that
    are wanted (all, when None).
    """

    path: Path
    asset: str
    cls: str
    start: int | None = None
    skip_ms: int = 0
    signals: Collection[str] | None = None


def messages(recording: Recording) -> Iterator[Message]:
    """The messages of one recording in order of time."""
    return _reader(recording.path)(recording)


def class_of(path: Path) -> str | None:
    """The class that a recording's asset has by default; None when the file itself says it."""
    kind = _reader(path)
    return "reactor" if kind is _tep else "machine" if kind is _nab else None


def has_times(path: Path) -> bool:
    """Whether a recording carries times of its own."""
    return _reader(path) is not _tep


def merged(streams: Iterable[Iterable[Message]]) -> Iterator[Message]:
    """Several streams in order of time as one; at one time those of the earlier stream first."""
    return heapq.merge(*streams, key=lambda message: message.t)


def _reader(path: Path) -> Callable[[Recording], Iterator[Message]]:
    name = path.name.removesuffix(".gz")
    for ending, reader in ((".dat", _tep), (".csv", _nab), (".jsonl", _jsonl)):
        if name.endswith(ending):
            return reader
    raise RecordingError(
        f"{path}: not a recording that can be read by its name; expected .dat (Tennessee Eastman), "
        ".csv (timestamp,value) or .jsonl (one message a line), each also with .gz"
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, gzipped or not, numbered from 1."""
    try:
        opened: Any = gzip.open if path.name.endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8") as file:
            number = 0
            while line := file.readline(LINE + 1):
                number += 1
                if len(line) > LINE:
                    raise RecordingError(f"{path}:{number}: a line longer than {LINE:,} characters")
                yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: not a text in UTF-8") from None
    except (OSError, EOFError) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from None


def _tep(recording: Recording) -> Iterator[Message]:
    if recording.start is None:
        raise RecordingError(f"{recording.path}: has no times; say when it starts")
    start, skip = recording.start, -(-recording.skip_ms // TEP_PERIOD_MS)
    wanted = recording.signals
    columns = [
        (i, name, factor)
        for i, (name, factor) in enumerate(TEP_COLUMNS)
        if wanted is None or name in wanted
    ]
    row = 0
    for number, line in _lines(recording.path):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != len(TEP_COLUMNS):
            raise RecordingError(
                f"{recording.path}:{number}: {len(fields)} columns; a record of the Tennessee "
                f"Eastman process has {len(TEP_COLUMNS)}"
            )
        if row >= skip:
            where = f"{recording.path}:{number}"
            values: dict[str, object] = {
                name: round(_number(fields[i], where) * factor, 9) for i, name, factor in columns
            }
            t = start + row * TEP_PERIOD_MS - recording.skip_ms
            yield Message(recording.asset, recording.cls, t, values)
        row += 1


def _nab(recording: Recording) -> Iterator[Message]:
    rows: list[tuple[int, float]] = []
    for number, line in _lines(recording.path):
        where = f"{recording.path}:{number}"
        if number == 1:
            if line.strip() != "timestamp,value":
                raise RecordingError(
                    f"{where}: starts with {line[:40]!r}; expected the header 'timestamp,value'"
                )
            continue
        if not line.strip():
            continue
        at, _, said = line.partition(",")
        rows.append((_time(at, where), _number(said, where)))
    rows.sort(key=lambda row: row[0])
    signal = next(iter(recording.signals or ("temp",)))
    first = rows[0][0] if rows else 0
    shift = 0 if recording.start is None else recording.start - first - recording.skip_ms
    for t, value in rows:
        if t >= first + recording.skip_ms:
            yield Message(recording.asset, recording.cls, t + shift, {signal: value})


def _jsonl(recording: Recording) -> Iterator[Message]:
    found: list[Message] = []
    for number, line in _lines(recording.path):
        if line.strip():
            message = _message(line, f"{recording.path}:{number}")
            if message is not None:
                found.append(message)
    found.sort(key=lambda message: message.t)
    first = found[0].t if found else 0
    for message in found:
        if message.t >= first + recording.skip_ms:
            yield message


def _message(line: str, where: str) -> Message | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise RecordingError(f"{where}: not JSON; expected one message a line") from None
    if isinstance(content, dict) and "tick" in content:
        return None  # a clock's tick of a test run: the player has its own clock
    match content:
        case {"asset": str(asset), "class": str(cls), "t": int(t), "values": dict(values)}:
            return Message(asset, cls, t, values, historical=content.get("historical") is True)
        case _:
            raise RecordingError(
                f'{where}: expected {{"asset": text, "class": text, "t": milliseconds since 1970, '
                f'"values": {{signal: value}}}}, found {line[:60]}'
            )


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise RecordingError(f"{where}: {text[:40]!r} is not a number") from None
    if not math.isfinite(value):
        raise RecordingError(f"{where}: {text[:40]!r} is not a finite number")
    return value


def _time(text: str, where: str) -> int:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise RecordingError(
            f"{where}: {text[:40]!r} is not a time like 2014-02-07 07:00:00"
        ) from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
