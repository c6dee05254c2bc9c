"""Tables from bytes to numbers that compiled loops can look into, and the hashes they go by. Pure.

Open addressing over a power of two, at most half full. A probe compares the bytes themselves, so a
collision costs time and never the truth; what is not found within MAX_PROBES is left to the slow
path, so that collisions made on purpose cost little time too. Arithmetic stays below 2^63, or is
masked to bits that wrapping leaves right, so it is the same compiled and as plain Python.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rules.jit import kernel, kernel_inline

MAX_PROBES = 64
HASH_MASK = (1 << 52) - 1  # a hash that a float holds exactly
M32 = 0xFFFFFFFF
FNV_BASIS, FNV_PRIME = 0x811C9DC5, 0x01000193  # FNV-1a, 32 bits


_ESCAPED = re.compile(rb'[\x00-\x1f"\\]')


class Names(NamedTuple):
    """Names in spaces (the signals of a class, the states of a signal …) and what they stand for.

    entry: int32[2^b]   — number of the name, or -1
    row: int64[names, 4] — SPACE, START and LENGTH of its bytes in the blob, VALUE
    blob: uint8[bytes]
    """

    entry: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]
    blob: npt.NDArray[np.uint8]


SPACE, START, LENGTH, VALUE = range(4)


class Codes(NamedTuple):
    """Codes in spaces (the states or events of a signal) and what they stand for.

    entry: int32[2^b]   — number of the code, or -1
    row: int64[codes, 3] — SPACE, CODE, CODE_VALUE
    """

    entry: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]


CODE, CODE_VALUE = 1, 2


@kernel_inline
def mix(code: int) -> int:
    """A 52-bit hash of an int64, good enough to add up to a hash of a set."""
    low, high = code & M32, (code >> 32) & M32
    a = (low ^ (high * 0x9E3779B1)) & M32
    a = ((a ^ (a >> 16)) * 0x85EBCA6B) & M32
    a = ((a ^ (a >> 13)) * 0xC2B2AE35) & M32
    a ^= a >> 16
    b = (a ^ (high * 0x27D4EB2F) ^ (low * 0x165667B1)) & M32
    b = ((b ^ (b >> 15)) * 0x2C1B3C6D) & M32
    b = ((b ^ (b >> 12)) * 0x297A2D39) & M32
    return ((b & 0xFFFFF) << 32) | a


@kernel_inline
def spread(h: int, space: int) -> int:
    """Where to begin to look for a name whose bytes have the FNV-1a hash h."""
    h = (h ^ (int(space) * 0x9E3779B1)) & M32
    return h ^ (h >> 15)


@kernel_inline
def find_name(
    names: Names, space: int, h: int, buf: npt.NDArray[np.uint8] | bytes, begin: int, end: int
) -> int:
    """The number of the name buf[begin:end], whose FNV-1a hash is h; -1 if it is not found."""
    mask = len(names.entry) - 1
    at = spread(h, space) & mask
    length = end - begin
    for _ in range(MAX_PROBES):
        number = names.entry[at]
        if number < 0:
            return -1
        if names.row[number, SPACE] == space and names.row[number, LENGTH] == length:
            start = names.row[number, START]
            i = 0
            while i < length and names.blob[start + i] == buf[begin + i]:
                i += 1
            if i == length:
                return int(number)
        at = (at + 1) & mask
    return -1


@kernel_inline
def find_code(codes: Codes, space: int, code: int) -> int:
    """The number of a code; -1 if it is not found."""
    mask = len(codes.entry) - 1
    at = spread(code & M32, space) & mask
    for _ in range(MAX_PROBES):
        number = codes.entry[at]
        if number < 0:
            return -1
        if codes.row[number, SPACE] == space and codes.row[number, CODE] == code:
            return int(number)
        at = (at + 1) & mask
    return -1


def text_hash(text: str) -> int:
    """The 52-bit hash of the name of an event that has no code; apart from those of codes."""
    return int(mix(_fnv(text.encode("utf-8", "surrogatepass")) << 28 | 1 << 61 | len(text)))


def make_names(names: list[tuple[int, bytes, int]]) -> Names:
    """A table of (space, name, value); a name occurs once in its space.

    A name that JSON has to escape gets a length that nothing has, and so is never found.
    """
    entry = np.full(_capacity(len(names)), -1, np.int32)
    for i, (space, name, _) in enumerate(names):
        _enter(entry, spread(_fnv(name), space), i)
    row = np.zeros((len(names) + 1, 4), np.int64)  # row 0 may be read where nothing was found
    start = 0
    for i, (space, name, value) in enumerate(names):
        row[i] = space, start, -1 if _ESCAPED.search(name) else len(name), value
        start += len(name)
    return Names(entry, row, np.frombuffer(b"".join(name for _, name, _ in names), np.uint8))


def make_codes(codes: list[tuple[int, int, int]]) -> Codes:
    """A table of (space, code, value); a code occurs once in its space."""
    entry = np.full(_capacity(len(codes)), -1, np.int32)
    for i, (space, code, _) in enumerate(codes):
        _enter(entry, spread(code & M32, space), i)
    return Codes(entry, np.array(codes, np.int64).reshape(-1, 3))


def _capacity(count: int) -> int:
    return max(16, 1 << (2 * count).bit_length())


def _fnv(name: bytes) -> int:
    h = FNV_BASIS
    for byte in name:
        h = ((h ^ byte) * FNV_PRIME) & M32
    return h


def _enter(entry: npt.NDArray[np.int32], h: int, number: int) -> None:
    mask = len(entry) - 1
    for probe in range(MAX_PROBES):
        if entry[(h + probe) & mask] < 0:
            entry[(h + probe) & mask] = number
            return  # else it is never found, and left to the slow path


class IdTable:
    """The ids of assets as a table that grows with the registry: all in space 0, number = index.

    Their value is the index of the asset's class, which does not change.
    """

    def __init__(self) -> None:
        self._count = 0
        self._entry = np.full(_capacity(0), -1, np.int32)
        self._row = np.zeros((1, 4), np.int64)
        self._blob = np.zeros(256, np.uint8)

    def names(self, ids: list[str], cls: npt.NDArray[np.int32]) -> Names:
        """The table of all ids, those entered that have come since the last call."""
        if len(ids) > self._count:
            self._extend([one.encode() for one in ids[self._count :]], cls)
        return Names(self._entry, self._row, self._blob)

    def _extend(self, new: list[bytes], cls: npt.NDArray[np.int32]) -> None:
        begin, count = self._count, self._count + len(new)
        used = int(self._row[begin - 1, START] + self._row[begin - 1, LENGTH]) if begin else 0
        length = np.array([len(one) for one in new], np.int64)
        end = used + int(length.sum())
        if count > len(self._row):
            self._row = np.resize(self._row, (2 * count, 4))
        if end > len(self._blob):
            self._blob = np.resize(self._blob, 2 * end)
        self._row[begin:count, SPACE] = 0
        self._row[begin:count, START] = used + np.cumsum(length) - length
        self._row[begin:count, LENGTH] = length
        self._row[begin:count, VALUE] = cls[begin:count]
        self._blob[used:end] = np.frombuffer(b"".join(new), np.uint8)
        if 2 * count > len(self._entry):
            self._entry = np.full(_capacity(count), -1, np.int32)
            begin = 0
        _enter_ids(self._entry, self._row, self._blob, begin, count)
        self._count = count


@kernel
def _enter_ids(
    entry: npt.NDArray[np.int32],
    row: npt.NDArray[np.int64],
    blob: npt.NDArray[np.uint8],
    begin: int,
    end: int,
) -> None:
    mask = len(entry) - 1
    for number in range(begin, end):
        h = FNV_BASIS
        for i in range(row[number, START], row[number, START] + row[number, LENGTH]):
            h = ((h ^ int(blob[i])) * FNV_PRIME) & M32
        at = spread(h, 0) & mask
        for _ in range(MAX_PROBES):
            if entry[at] < 0:
                entry[at] = number
                break
            at = (at + 1) & mask
