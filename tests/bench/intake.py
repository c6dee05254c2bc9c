"""What intake costs: messages of three values, beside decoders of the same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time

import msgspec

from rules.model import AssetClass, Pack, Signal, Text
from streams.assets import Assets
from streams.intake import Intake

SEED = 7
ROUNDS = 5

LIFT = AssetClass(
    name="lift",
    title=Text(),
    signals={
        "speed": Signal("speed", "number", unit="m/s", low=-10, high=10),
        "car_status": Signal("car_status", "states", names={"stopped": 0, "running": 1}),
        "door_closed": Signal("door_closed", "bool"),
    },
    attributes={},
    derived={},
)


@dataclass(frozen=True)
class IntakeCost:
    """CPU time in ns a message; `messages` have `size` bytes each, on average."""

    messages: int
    size: float
    buffer_ns: float  # Intake.scan of one buffer of lines
    records_ns: float  # Intake.scan of a list of records
    slow_ns: float  # its slow twin
    msgspec_ns: float  # msgspec to dictionaries, nothing checked
    json_ns: float  # json.loads

    def __str__(self) -> str:
        return (
            f"intake, {self.messages:,} messages of 3 values and {self.size:.0f} bytes, ns each: "
            f"buffer {self.buffer_ns:.0f}, records {self.records_ns:.0f}, slow {self.slow_ns:.0f}"
            f" (bare decoding: msgspec {self.msgspec_ns:.0f}, json {self.json_ns:.0f})"
        )


def readings(messages: int, assets: int) -> list[bytes]:
    """Messages as a gateway sends them, of assets at random."""
    chance = random.Random(SEED)
    return [
        json.dumps(
            {
                "asset": f"L{chance.randrange(assets):06d}",
                "t": 1_700_000_000_000 + 10 * i,
                "values": {
                    "speed": round(chance.uniform(-10, 10), chance.choice([1, 2, 3, 15])),
                    "car_status": chance.choice([0, 1]),
                    "door_closed": chance.choice([True, False]),
                },
            },
            separators=(",", ":"),
        ).encode()
        for i in range(messages)
    ]


def measure(messages: int = 200_000, assets: int = 10_000) -> IntakeCost:
    """Measure intake on one core, the assets being known. The slow ones do a twentieth of it."""
    pack = Pack({"lift": LIFT}, (), (), {})
    known = Assets(pack)
    for i in range(assets):
        known.hear(f"L{i:06d}", 0)
    intake = Intake(pack, known)
    intake.prepare()
    records = readings(messages, assets)
    buffer = b"\n".join(records)
    few = records[: max(1, messages // 20)]
    decode = msgspec.json.Decoder().decode
    assert len(intake.scan(buffer).batch) == messages
    return IntakeCost(
        messages=messages,
        size=len(buffer) / messages,
        buffer_ns=_best_ns(lambda: intake.scan(buffer), messages),
        records_ns=_best_ns(lambda: intake.scan(records), messages),
        slow_ns=_best_ns(lambda: intake.scan_slowly(few), len(few)),
        msgspec_ns=_best_ns(lambda: [decode(one) for one in few], len(few)),
        json_ns=_best_ns(lambda: [json.loads(one) for one in few], len(few)),
    )


def _best_ns(work: Callable[[], object], count: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begin = process_time()
        work()
        best = min(best, process_time() - begin)
    return best / count * 1e9


if __name__ == "__main__":
    print(measure())
