"""`python -m streams.warm`: compiles the interpreter and the scanner ahead of the first start.

Numba's code is kept in a cache (see rules.jit), so this takes a minute or two once after an
installation and nothing from then on. Every way through the compiled loops is entered once.
"""

from __future__ import annotations

import sys
import time

from rules.load import load_texts
from streams.engine import Engine

_PACK = b"""
classes:
  warm: {signals: {x: {}, p: {type: bool}, s: {states: {0: off, 1: on}}, e: {events: {1: one}}}}
rules:
- {rule: warm.up, class: warm, severity: yellow, when: mean(x over 10 s) > 1 and p, for: 1 s}
"""
_LINES = b"""{"asset":"A","class":"warm","t":1000,"values":{"x":1}}
{"asset":"A","t":2000,"values":{"x":2,"p":true,"s":1,"e":1}}
{"asset":"A","t":3000,"signal":"x","v":3}
"""


def warm_up() -> None:
    """Runs a few messages through everything that is compiled."""
    pack = load_texts([("warm.yaml", _PACK)]).pack
    assert pack is not None
    engine = Engine(pack)
    engine.intake.prepare()
    for _ in range(2):      # the first time the asset is new: the slow way
        engine.batch(engine.intake.scan(_LINES).batch)
    engine.run_until(60_000)


def main() -> None:
    """Compiles, and says how long it took."""
    sys.stderr.write("Compiling the interpreter, once (1-2 minutes) …\n")
    start = time.monotonic()
    warm_up()
    sys.stderr.write(f"compiled in {time.monotonic() - start:.0f} s\n")


if __name__ == "__main__":
    main()
