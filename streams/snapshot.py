"""What state is as bytes: sealed with a checksum, and refused when it does not fit.

Nothing here knows what is in them. State means nothing without the layout that it was written
under: to go on with an edited pack, restore under the old one and activate the new.
"""

from __future__ import annotations

import zlib

SEAL = 4        # bytes of CRC-32: against damage, and three times as fast as a digest


class SnapshotError(ValueError):
    """A snapshot that does not fit, or is no snapshot: start from an older one, or from nothing."""


def seal(body: bytes) -> bytes:
    """The bytes with their checksum before them."""
    return _sum(body) + body


def unseal(data: bytes) -> memoryview:
    """What was sealed. Raises SnapshotError for anything but that, whole."""
    body = memoryview(data)[SEAL:]
    if _sum(body) != data[:SEAL]:
        raise SnapshotError("not a snapshot, or not whole")
    return body


def _sum(body: bytes | memoryview) -> bytes:
    return zlib.crc32(body).to_bytes(SEAL, "big")
