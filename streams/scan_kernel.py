"""The fast way through intake: one compiled loop over the bytes of many messages. Pure.

It takes messages of the two common forms from assets that are known, with values that are good, and
leaves every record with anything else in it (escapes, RFC 3339, arrays, codes in lists, unknown
names, bad values, any doubt) to the slow path as a whole. What it takes is what the slow path
would have made of it; tests/streams/test_scan.py holds the two against each other.

A reader takes the position of a byte and returns the one after what it read, or -1. Records end in
a newline, at which every loop stops by itself, so none asks for the end of the buffer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rules.jit import kernel, kernel_inline
from streams.decode import MAX_BYTES, MAX_VALUES, MS_BELOW, US_BELOW
from streams.scan_numbers import EXACT, Bytes, read_integer, read_number
from streams.scan_tables import (
    CODE_VALUE,
    FNV_BASIS,
    FNV_PRIME,
    LENGTH,
    M32,
    START,
    VALUE,
    Codes,
    Names,
    find_code,
    find_name,
    mix,
)

NUMBER, BOOL, STATES, EVENTS, CLOSED = range(5)  # kinds of signals; an operator's is CLOSED
CLASSES = 0  # the names' space of classes; of class c's signals 1 + c; then of the signals' states

NO_ARRIVAL = -(1 << 62)

NEWLINE, SPACE, QUOTE, COMMA, COLON, BACKSLASH, OPEN, CLOSE = 10, 32, 34, 44, 58, 92, 123, 125


def packed(word: bytes) -> int:
    """A word of up to seven bytes as an integer: comparing these is comparing the words."""
    return int.from_bytes(word, "big")


ASSET, CLASS, TIME, ARRIVAL = packed(b"asset"), packed(b"class"), packed(b"t"), packed(b"arrival")
VALUES, QUALITY = packed(b"values"), packed(b"quality")
SIGNAL, V, Q = packed(b"signal"), packed(b"v"), packed(b"q")
GOOD_WORDS = (packed(b"good"), packed(b"Good"), packed(b"GOOD"))
TRUE, FALSE, NULL = packed(b"true"), packed(b"false"), packed(b"null")

HAS_ASSET, HAS_CLASS, HAS_TIME, HAS_ARRIVAL = 1, 2, 4, 8
HAS_VALUES, HAS_QUALITY, HAS_SIGNAL, HAS_V, HAS_Q = 16, 32, 64, 128, 256
WIDE_NEEDS, WIDE_NEVER = HAS_ASSET | HAS_TIME | HAS_VALUES, HAS_SIGNAL | HAS_V | HAS_Q
NARROW_NEEDS = HAS_ASSET | HAS_TIME | HAS_SIGNAL | HAS_V
NARROW_NEVER = HAS_VALUES | HAS_QUALITY


class World(NamedTuple):
    """What messages are read against. Signals of all classes are numbered through.

    names:     classes, signals and states of all spaces (see CLASSES)
    codes:     of states (value: itself) and events (value: slot), in the space of the signal's
               number
    signal:    int64[signals, 2] — kind, slot
    range:     float64[signals, 2] in the unit — lowest and highest good value
    max_ahead: int64[classes] ms
    ids:       of assets, in space 0, by index; value: class index
    mark:      int64[signals] — scratch: the last record that had the signal
    hint:      int64[signals + classes] — number of the name that came last after a signal, or
               first of a class; it saves a look-up where it holds, and is never trusted
    """

    names: Names
    codes: Codes
    signal: npt.NDArray[np.int64]
    range: npt.NDArray[np.float64]
    max_ahead: npt.NDArray[np.int64]
    ids: Names
    mark: npt.NDArray[np.int64]
    hint: npt.NDArray[np.int64]


class Output(NamedTuple):
    """Columns to write: of messages taken, of their values, and of records left over.

    line:  int64[n]    — number of the record
    asset: int32[n]; t: int64[n] ms
    first: int32[n+1]  — index of its first value
    slot:  int32[k]; value: float64[k]
    rest:  int64[r, 3] — number of the record, its first byte, the byte after its last
    """

    line: npt.NDArray[np.int64]
    asset: npt.NDArray[np.int32]
    t: npt.NDArray[np.int64]
    first: npt.NDArray[np.int32]
    slot: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    rest: npt.NDArray[np.int64]


@kernel
def scan(
    buf: Bytes, size: int, ends: npt.NDArray[np.int64], now: int, world: World, out: Output
) -> tuple[int, int, int]:
    """Read all records of buf[:size]; how many messages, values and records left over there are.

    `ends` are the records' ends, each at a newline; none given: every newline ends one, and empty
    lines are skipped. `now`: arrival in ms, NO_ARRIVAL if not known.
    """
    n, k, r = 0, 0, 0
    out.first[0] = 0
    line, begin = 0, 0
    while begin < size:
        end = ends[line] if len(ends) > 0 else -1
        p, asset, t, after = read_message(buf, begin, k, line, now, world, out)
        if p >= 0 and buf[p] == NEWLINE and (p == end or end < 0) and p - begin <= MAX_BYTES:
            out.line[n] = line
            out.asset[n] = asset
            out.t[n] = t
            n += 1
            k = after
            out.first[n] = k
            end = p
        else:
            blank = True
            if end < 0:
                end = begin
                while buf[end] != NEWLINE:
                    blank = blank and (buf[end] == SPACE or buf[end] == 9 or buf[end] == 13)
                    end += 1
            else:
                blank = False
            if not blank:
                out.rest[r, 0] = line
                out.rest[r, 1] = begin
                out.rest[r, 2] = end
                r += 1
        begin = end + 1
        line += 1
    return n, k, r


@kernel_inline
def read_message(
    buf: Bytes, begin: int, k: int, line: int, now: int, world: World, out: Output
) -> tuple[int, int, int, int]:
    """One message: the byte after it (-1: left over), asset, t, and the number of values so far."""
    p = skip(buf, begin)
    if buf[p] != OPEN:
        return -1, 0, 0, 0
    seen, asset, own, signal, t, arrival, first = 0, -1, -1, -1, 0, now, k
    more = True
    while more:
        p, key = read_key(buf, skip(buf, p + 1))
        if p < 0:
            return -1, 0, 0, 0
        bit = 0
        if key == ASSET:
            bit = HAS_ASSET
            p, asset = read_name(buf, p, world.ids, 0)
            own = world.ids.row[asset, VALUE]
        elif key == TIME or key == ARRIVAL:
            bit = HAS_TIME if key == TIME else HAS_ARRIVAL
            p, number = read_time(buf, p)
            t = number if key == TIME else t
            arrival = number if key == ARRIVAL else arrival
        elif key == CLASS and asset >= 0:
            bit = HAS_CLASS
            p = read_known(buf, p, world.names, own)  # the first names are the classes', in order
        elif key == SIGNAL and asset >= 0:
            bit = HAS_SIGNAL
            p, number = read_name(buf, p, world.names, 1 + own)
            signal = world.names.row[number, VALUE]
        elif (key == VALUES and asset >= 0) or (key == V and signal >= 0):
            bit = HAS_VALUES if key == VALUES else HAS_V
            only = -1 if key == VALUES else signal
            p, k = read_values(buf, p, own, only, k, line, world, out)
        elif key == QUALITY or key == Q:
            bit = HAS_QUALITY if key == QUALITY else HAS_Q
            p = read_good(buf, p)
        if bit == 0 or seen & bit or p < 0:
            return -1, 0, 0, 0
        seen |= bit
        p = skip(buf, p)
        more = buf[p] == COMMA
    wide = seen & WIDE_NEEDS == WIDE_NEEDS and seen & WIDE_NEVER == 0
    narrow = seen & NARROW_NEEDS == NARROW_NEEDS and seen & NARROW_NEVER == 0
    if buf[p] != CLOSE or not (wide or narrow) or k - first > MAX_VALUES:
        return -1, 0, 0, 0
    if arrival != NO_ARRIVAL and t > arrival + world.max_ahead[own]:
        return -1, 0, 0, 0
    return skip(buf, p + 1), asset, t, k


@kernel_inline
def skip(buf: Bytes, p: int) -> int:
    """The first byte from p on that is no blank; a newline is none, as it ends the record."""
    while buf[p] <= SPACE and (buf[p] == SPACE or buf[p] == 9 or buf[p] == 13):
        p += 1
    return p


@kernel_inline
def read_key(buf: Bytes, p: int) -> tuple[int, int]:
    """A key of up to seven characters and its colon: where its value begins, the packed key."""
    if buf[p] != QUOTE:
        return -1, 0
    p, key = read_word(buf, p + 1)
    if buf[p] != QUOTE:
        return -1, 0
    p = skip(buf, p + 1)
    if buf[p] != COLON:
        return -1, 0
    return skip(buf, p + 1), key


@kernel_inline
def read_word(buf: Bytes, p: int) -> tuple[int, int]:
    """Up to seven letters (or signs among them): where they end, packed."""
    end = p + 7
    word = 0
    while p < end and 65 <= buf[p] <= 122:
        word = (word << 8) | buf[p]
        p += 1
    return p, word


@kernel_inline
def read_name(buf: Bytes, p: int, names: Names, space: int) -> tuple[int, int]:
    """A string without escapes that is in the table: where it ends, its number (else -1, 0)."""
    if buf[p] != QUOTE:
        return -1, 0
    p += 1
    begin = p
    h = FNV_BASIS
    while buf[p] != QUOTE:
        c = buf[p]
        if c < SPACE or c == BACKSLASH:
            return -1, 0
        h = ((h ^ c) * FNV_PRIME) & M32
        p += 1
    number = find_name(names, space, h, buf, begin, p)
    if number < 0:
        return -1, 0
    return p + 1, number


@kernel_inline
def read_known(buf: Bytes, p: int, names: Names, number: int) -> int:
    """A string that is this very name: where it ends."""
    if number < 0 or buf[p] != QUOTE:
        return -1
    p += 1
    start, length = names.row[number, START], names.row[number, LENGTH]
    i = 0
    while i < length and names.blob[start + i] == buf[p + i]:
        i += 1
    if i != length or buf[p + i] != QUOTE:
        return -1
    return p + i + 1


@kernel_inline
def read_time(buf: Bytes, p: int) -> tuple[int, int]:
    """An epoch ≥ 0 in ms, µs or ns: where it ends, ms."""
    p, t = read_integer(buf, p)
    if t >= US_BELOW:
        t = t // 1_000_000
    elif t >= MS_BELOW:
        t = t // 1_000
    return p, t


@kernel_inline
def read_good(buf: Bytes, p: int) -> int:
    """A word of good quality; no other is read here."""
    if buf[p] == QUOTE:
        p, word = read_word(buf, p + 1)
        good = word == GOOD_WORDS[0] or word == GOOD_WORDS[1] or word == GOOD_WORDS[2]
        if good and buf[p] == QUOTE:
            return p + 1
        return -1
    if buf[p] == 116:  # t
        p, word = read_word(buf, p)
        return p if word == TRUE else -1
    return p + 3 if buf[p] == 49 and buf[p + 1] == 57 and buf[p + 2] == 50 else -1  # 192


@kernel_inline
def read_values(
    buf: Bytes, p: int, cls: int, only: int, k: int, line: int, world: World, out: Output
) -> tuple[int, int]:
    """An object of values, or the value of signal number `only` unless that is negative.

    Where it ends, and the number of values written so far.
    """
    signal = only
    last = len(world.signal) + cls
    more = True
    if only < 0:
        if buf[p] != OPEN:
            return -1, k
        if buf[skip(buf, p + 1)] == CLOSE:
            return skip(buf, p + 1) + 1, k
    while more:
        if only < 0:
            begin = skip(buf, p + 1)
            number = world.hint[last]
            p = read_known(buf, begin, world.names, number)
            if p < 0:
                p, number = read_name(buf, begin, world.names, 1 + cls)
                if p < 0:
                    return -1, k
                world.hint[last] = number
            signal = world.names.row[number, VALUE]
            last = signal
            p = skip(buf, p)
            if buf[p] != COLON or world.mark[signal] == line:
                return -1, k
            world.mark[signal] = line
            p = skip(buf, p + 1)
        p, k = read_value(buf, p, signal, k, world, out)
        if p < 0 or only >= 0:
            return p, k
        p = skip(buf, p)
        more = buf[p] == COMMA
    return (p + 1 if buf[p] == CLOSE else -1), k


@kernel_inline
def read_value(
    buf: Bytes, p: int, signal: int, k: int, world: World, out: Output
) -> tuple[int, int]:
    """A value that is good for the signal, or null, written down: where it ends, values so far."""
    kind = world.signal[signal, 0]
    if kind == CLOSED:
        return -1, k
    coded = kind == STATES or kind == EVENTS
    value = np.nan
    c = buf[p]
    if c == QUOTE and coded:
        p, number = read_name(buf, p, world.names, 1 + len(world.max_ahead) + signal)
        value = float(world.names.row[number, VALUE])
    elif c == 110 or ((c == 116 or c == 102) and kind == BOOL):  # n, t, f
        p, word = read_word(buf, p)
        if word == TRUE or word == FALSE:
            value = 1.0 if word == TRUE else 0.0
        elif word != NULL:
            return -1, k
    else:
        p, value = read_number(buf, p)
        if kind == BOOL and value != 0.0 and value != 1.0:
            return -1, k
        if value < world.range[signal, 0] or value > world.range[signal, 1]:
            return -1, k
    if p < 0:
        return -1, k
    out.slot[k] = world.signal[signal, 1]
    out.value[k] = value
    k += 1
    if coded and not np.isnan(value):
        if abs(value) > EXACT or value != int(value):
            return -1, k
        number = find_code(world.codes, signal, int(value))
        if number < 0:
            return -1, k
        if kind == EVENTS:
            out.value[k - 1] = float(mix(int(value)))
            out.slot[k] = world.codes.row[number, CODE_VALUE]
            out.value[k] = 1.0
            k += 1
    return p, k
