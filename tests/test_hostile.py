"""Mutated documents and messages end in positioned errors or counted refusals, never a traceback.

`TOCSIN_HOSTILE=10000 pytest tests/test_hostile.py` tries that many of each (`make soak` does);
`TOCSIN_SEED=17` one. A failure names its seed.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from rules.load import load_texts
from rules.model import Pack
from streams.engine import Engine

FEW = 1_000
COUNT = int(os.environ.get("TOCSIN_HOSTILE", FEW))
ONE = os.environ.get("TOCSIN_SEED")
CHUNK = 100
CHUNKS = [range(int(ONE), int(ONE) + 1)] if ONE else [
    range(i, min(i + CHUNK, COUNT)) for i in range(0, COUNT, CHUNK)
]

ACCEPTANCE = Path(__file__).parent / "acceptance"
FILES = sorted([*ACCEPTANCE.glob("language/*.yaml"), *ACCEPTANCE.glob("bad/*.yaml")])
TOKENS = [
    b"null", b"{", b"}", b"[", b"]", b"]]]]", b"[" * 50, b"&a [*a, *a]", b"*nobody", b"!!python/x",
    b"1e999", b"-0", b"\x00", b"\xff\xfe", "\u2028".encode(), "°C".encode(), b"%", b": ", b"- ",
    b"(" * 200, b"9" * 400, b"held(", b"over 0 s", b" for ", b"\t", b"yes", b"...", b"---", b"#",
    b"rules:", b"classes:", b"when:", b"x", b"'", b'"', b"10 s", b"not ", b"1/0", b"since c",
]  # fmt: skip


def mutated(text: bytes, random: Random) -> bytes:
    """The text with one to four things done to it."""
    body = bytearray(text)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(body) + 1)
        end = min(len(body), at + random.randint(1, 40))
        match random.randrange(6):
            case 0:
                body[at:at] = random.choice(TOKENS)
            case 1:
                body[at:end] = random.choice(TOKENS)
            case 2:
                del body[at:end]
            case 3:
                body[at:at] = body[at:end] * random.randint(1, 30)
            case 4 if body:
                body[min(at, len(body) - 1)] = random.randrange(256)
            case _:
                lines = bytes(body).split(b"\n")
                random.shuffle(lines)
                body = bytearray(b"\n".join(lines))
    return bytes(body)


MESSAGES = [
    b'{"asset":"A","class":"cond","t":1772323200000,"values":{"x":1.5,"ok":true,"mode":"on"}}',
    b'{"asset":"B","class":"cond","t":"2026-03-01T00:00:00.5Z","values":{"code":[1,90],"y":null}}',
    b'{"asset":"A","t":1772323201000,"signal":"x","v":7,"q":"bad"}',
    b'[{"asset":"A","t":1772323202000000,"values":{"door":1}},{"asset":"A","t":1,"values":{}}]',
    b'{"asset":"C","class":"cond","t":1772323203000,"values":{"word":"yes"},"historical":true}',
]


def exercise(pack: Pack, seed: int) -> None:
    """What still loads must also run."""
    engine = Engine(pack)
    for cls in list(pack.classes)[:2]:
        t = 1_000 + seed
        engine.batch(engine.intake.scan(
            f'{{"asset":"A{cls}","class":"{cls}","t":{t},"values":{{"x":7,"p":true}}}}'.encode()
        ).batch)  # fmt: skip
    engine.tick(30_000)
    engine.run_until(120_000)


@pytest.mark.parametrize("seeds", CHUNKS, ids=str)
def test_documents(seeds: range) -> None:
    for seed in seeds:
        random = Random(seed)
        text = mutated(random.choice(FILES).read_bytes(), random)
        try:
            found = load_texts([("hostile.yaml", text)])
            for problem in found.problems:
                assert problem.at.line >= 1, problem
                assert problem.at.column >= 1, problem
                assert problem.message, problem
            if found.pack is None:
                assert any(problem.kind == "error" for problem in found.problems)
            elif seed % 10 == 0:
                exercise(found.pack, seed)
        except Exception as error:
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}")


@pytest.fixture(scope="module")
def cond() -> Pack:
    pack = load_texts([("c.yaml", (ACCEPTANCE / "language/conditions.yaml").read_bytes())]).pack
    assert pack is not None
    return pack


@pytest.mark.parametrize("seeds", CHUNKS, ids=str)
def test_messages(seeds: range, cond: Pack) -> None:
    engine = Engine(cond)
    for seed in seeds:
        random = Random(seed)
        text = mutated(random.choice(MESSAGES), random)
        records = [line for line in text.split(b"\n") if line.strip(b" \t\r")]
        try:
            scanned = engine.intake.scan(text)
            engine.batch(scanned.batch)
        except Exception as error:
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}")
        heard = {int(one) for one in scanned.batch.position}
        said = {one.position for one in scanned.refused}
        silent = [i for i in range(len(records)) if i not in heard | said]
        for i in silent:      # an empty array holds no message
            assert records[i].strip().startswith(b"["), f"seed {seed}: {records[i]!r}"
