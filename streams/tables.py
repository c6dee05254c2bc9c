"""Tables from bytes to numbers that compiled loops can look into, and the hashes they go by. Pure.

Open addressing over a power of two, at most half full. A probe compares the bytes themselves, so a
collision costs time and never the truth; after MAX_PROBES a name is left to the slow path, so that
chosen collisions cost little time too. Arithmetic stays below 2^63 or is masked to the bits that
wrapping leaves right, so it is the same compiled and as plain Python.
"""

from __future__ import annotations

from numba import njit

MAX_PROBES = 64
HASH_MASK = (1 << 52) - 1  # a hash that a float holds exactly
M32 = 0xFFFFFFFF
FNV_BASIS, FNV_PRIME = 0x811C9DC5, 0x01000193  # FNV-1a, 32 bits


@njit(cache=True)
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


def text_hash(text: str) -> int:
    """The hash of the name of an event that has no code; apart from those of codes."""
    h = FNV_BASIS
    for byte in text.encode("utf-8", "surrogatepass"):
        h = ((h ^ byte) * FNV_PRIME) & M32
    return int(mix((h << 20) | (1 << 60) | min(len(text), 0xFFFFF)))
