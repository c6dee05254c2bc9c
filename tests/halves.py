"""`make test`: what waits for brokers runs beside what computes; given arguments, plain pytest.

    python -m tests.halves [pytest's arguments]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parent
WAITING = ("kafka", "chaos", "influx")      # folders: brokers, workers, databases
PYTEST = (sys.executable, "-m", "pytest", "-q")


def main(given: list[str]) -> int:
    """0 if all tests passed, else the status of pytest."""
    if any(not one.startswith("-o") for one in given):
        return subprocess.run([*PYTEST, *given], check=False).returncode
    waiting = [TESTS / name for name in WAITING if (TESTS / name).is_dir()]
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        beside = subprocess.Popen([*PYTEST, *given, *map(str, waiting)], stdout=said, stderr=said)
        try:
            first = subprocess.run(
                [*PYTEST, *given, *(f"--ignore={folder}" for folder in waiting)], check=False)
            print(f"\nwhat ran beside it ({', '.join(folder.name for folder in waiting)}):")
            second = beside.wait()
        finally:
            beside.terminate()
            beside.wait()
        said.seek(0)
        print(said.read())
    print(f"all tests: {time.monotonic() - begun:.0f} s")
    return first.returncode or second


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
