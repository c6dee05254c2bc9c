"""`make bench`: how fast, beside what, on which machine.

Every figure stands beside a baseline measured in the same run; only ratios say something, times
vary from machine to machine. CPU time of this process is counted, best of several rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import msgspec
import numba
import numpy as np

from rules.load import load, load_texts
from rules.records import Message
from streams.engine import Engine
from streams.plant import Plant, Programs
from tests.bench import naive, plant
from tests.bench.figures import Figure, report

REPO = Path(__file__).parents[2]


def clock(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def wide(lines: list[bytes]) -> list[Message]:
    """The same messages as plain values."""
    found = [msgspec.json.decode(line) for line in lines]
    return [Message(one["asset"], one["class"], one["t"], one["values"]) for one in found]


def bytes_to_alarms(rounds: int) -> list[Figure]:
    """JSON lines in, transitions out, 20 rules a class; beside msgspec decoding alone, and beside
    decoding and a plain Python loop with the same rules."""
    pack = plant.pack()
    lines = plant.lines(rounds)
    batches = [
        b"\n".join(lines[i : i + plant.ASSETS]) for i in range(0, len(lines), plant.ASSETS)
    ]
    engine = Engine(pack)
    engine.batch(engine.intake.scan(batches[0]).batch)      # assets are heard of, code is loaded
    engine.batch(engine.intake.scan(batches[1]).batch)
    scan, run, found = [], [], 0
    values = 0
    for data in batches[2:]:
        start = time.process_time()
        batch = engine.intake.scan(data).batch
        middle = time.process_time()
        found += len(engine.batch(batch))
        scan.append(middle - start)
        run.append(time.process_time() - middle)
        values += len(batch.value)
    messages = len(lines) - 2 * plant.ASSETS
    both = sum(scan) + sum(run)
    decode = clock(lambda: [msgspec.json.decode(line) for line in lines[2 * plant.ASSETS :]])
    states = {f"P{i:06d}": naive.new() for i in range(plant.ASSETS)}

    def by_hand() -> None:
        for line in lines[2 * plant.ASSETS :]:
            one = msgspec.json.decode(line)
            naive.take(states[one["asset"]], one["t"], one["values"])

    hand = clock(by_hand)
    return [
        Figure("bytes to alarms, 20 rules, 10,000 assets", messages / both, "messages/s",
               "msgspec decode + plain Python loop of the rules", messages / hand, ">= 700,000"),
        Figure("the same, in values", values / both, "readings/s", "the same", values / hand),
        Figure("  of it intake (bytes to arrays)", messages / sum(scan), "messages/s",
               "msgspec decode alone", messages / decode),
        Figure("  of it rules (arrays to alarms)", messages / sum(run), "messages/s"),
        Figure("  transitions found", found, ""),
    ]  # fmt: skip


def evaluations(rounds: int) -> list[Figure]:
    """Rules evaluated a second: one rule of eleven operations, beside the same in plain Python."""
    text = plant.CLASS + (
        "rules:\n- {rule: pump.one, class: pump, severity: yellow, for: 3 s, "
        'when: "abs(speed) > 1.15 * rated and pressure - 0.5 bar < mop and not door"}\n'
    )
    found = load_texts([("pack.yaml", text.replace("    silent_after: 10 min\n", "").encode())])
    assert found.pack is not None
    engine = Engine(found.pack)
    messages = wide(plant.lines(2))
    batch = engine.intake.messages(messages).batch
    engine.batch(batch)
    times = []
    for i in range(rounds):
        batch.t[:] += 2000
        batch.value[:] += 1e-9 * i
        times.append(clock(lambda: engine.batch(batch)))

    def by_hand() -> None:
        since: dict[str, int] = {}
        for one in messages:
            speed, bar = one.values["speed"], one.values["pressure"]
            assert isinstance(speed, float)
            assert isinstance(bar, float)
            if abs(speed) > 1.15 * 1.75 and bar - 0.5 < 60 and not one.values.get("door", False):
                since.setdefault(one.asset, one.t)
            else:
                since.pop(one.asset, None)

    rate = len(messages) / min(times)
    return [Figure(
        "rule evaluations, message handling included", rate, "rules/s",
        "plain Python loop of the rule", len(messages) / clock(by_hand), ">= 20,000,000",
    ), *marginal(rounds)]  # fmt: skip


def marginal(rounds: int) -> list[Figure]:
    """What one more rule costs: 81 rules a message less 1, over 80."""
    times = {}
    for count in (1, 81):
        rules = "".join(
            f'- {{rule: pump.r{i}, class: pump, severity: yellow, for: 3 s, when: "abs(speed) > '
            f'{1.15 + i / 100} * rated and pressure - 0.5 bar < mop and not door"}}\n'
            for i in range(count)
        )
        text = plant.CLASS.replace("    silent_after: 10 min\n", "") + "rules:\n" + rules
        found = load_texts([("pack.yaml", text.encode())])
        assert found.pack is not None
        engine = Engine(found.pack)
        batch = engine.intake.messages(wide(plant.lines(2))).batch
        engine.batch(batch)
        best = []
        for _ in range(rounds):
            batch.t[:] += 2000
            best.append(clock(partial(engine.batch, batch)))
        times[count] = min(best) / len(batch)
    each = (times[81] - times[1]) / 80
    what = "  one more rule of eleven operations"
    return [Figure(what, 1 / each, "rules/s", goal=">= 20,000,000")]


def loading() -> list[Figure]:
    """A pack of 1,000 rules checked and compiled, beside json-like parsing of the YAML alone."""
    import yaml  # noqa: PLC0415 — the baseline's

    text = plant.text(1_000)

    def ours() -> None:
        found = load_texts([("pack.yaml", text.encode())])
        assert found.pack is not None
        Programs(found.pack).of("pump")

    baseline = clock(lambda: yaml.load(text, yaml.CSafeLoader))
    return [Figure("1,000 rules: check + compile", min(clock(ours) for _ in range(3)), "s",
                   "PyYAML's C loader on the text alone", baseline, "<= 1 s")]  # fmt: skip


def memory(assets: int) -> list[Figure]:
    """Bytes an asset for the elevator pack, every asset heard once; beside one Python dict each."""
    found = load([REPO / "tests" / "acceptance" / "packs" / "elevator"])
    assert found.pack is not None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = Plant(Programs(found.pack), "elevator")
    rows.reserve(assets)
    rows.add([None] * assets)
    held = rows.memory
    size = sum(table.nbytes for table in held if len(table) >= assets) / assets
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / assets
    signals = len(found.pack.classes["elevator"].signals)
    one = {f"signal{i}": [0.5 + i, 1_772_323_200_000 + i] for i in range(signals)}
    plain = sys.getsizeof(one) + sum(
        sys.getsizeof(v) + sum(map(sys.getsizeof, v)) for v in one.values()
    )
    return [
        Figure(f"memory an asset, elevator pack, {assets:,} assets", size, "bytes",
               "a dict of signals, values and times alone", plain, "4 GiB for 400,000"),
        Figure("  resident growth an asset", grown, "bytes"),
        Figure("  all assets", size * assets / 2**30, "GiB"),
    ]  # fmt: skip


Part = Callable[[], list[Figure]]


def parts(quick: bool) -> list[Part]:
    """What is measured in process."""
    rounds, assets = (5, 20_000) if quick else (12, 400_000)
    return [lambda: bytes_to_alarms(rounds), lambda: evaluations(rounds), loading,
            lambda: memory(assets)]


def fleet_parts(quick: bool) -> list[Part]:
    """What is measured with workers on Kafka."""
    from tests.bench import fleet  # noqa: PLC0415 — Faust and the clients take seconds to import

    return [lambda: fleet.measure(30_000 if quick else 300_000)]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and assets")
    parser.add_argument("--fleet", action="store_true",
                        help="workers on a broker of their own, instead of the engine in process")
    chosen = parser.parse_args()
    figures = []
    for part in fleet_parts(chosen.quick) if chosen.fleet else parts(chosen.quick):
        figures += part()
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    machine = (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, numba {numba.__version__}, numpy {np.__version__}"
    )
    if chosen.json:
        rows = [{**asdict(one), "ratio": one.ratio} for one in figures]
        print(json.dumps({"machine": machine, "figures": rows}, ensure_ascii=False))
    else:
        print(machine)
        print(report(figures))


if __name__ == "__main__":
    main()
