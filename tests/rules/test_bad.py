"""Every mistake is refused where the author made it, with the word that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.errors import Problem
from rules.load import Loaded, load, load_texts

ACCEPTANCE = Path(__file__).resolve().parent.parent / "acceptance"
BAD = sorted((ACCEPTANCE / "bad").glob("*.yaml"))
SEEDS = [
    path.read_bytes()
    for path in (
        *sorted((ACCEPTANCE / "language").glob("*.yaml")),
        ACCEPTANCE / "packs" / "storage" / "class.yaml",
        ACCEPTANCE / "must_fail" / "runner.yaml",
    )
]
CLASS = b"""classes:
  tank:
    signals: {level: {unit: m, range: [0, 10]}, pump: {type: bool}}
    attributes: {area: {type: text}}
"""
fast = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def errors(loaded: Loaded) -> list[Problem]:
    return [problem for problem in loaded.problems if problem.kind == "error"]


def messages(text: bytes) -> list[str]:
    """`LINE:COLUMN message; fix` of each error."""
    return [str(one).removeprefix("a.yaml:") for one in errors(load_texts([("a.yaml", text)]))]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_mistake_is_reported_once_where_it_stands(path: Path) -> None:
    where, word = path.with_suffix(".txt").read_text().strip().split(" ", 1)
    loaded = load([path])
    assert loaded.pack is None
    [found] = errors(loaded)
    assert f"{found.at.line}:{found.at.column}" == where
    assert word in str(found)
    assert found.at.path == str(path)


def test_there_are_bad_files() -> None:
    assert len(BAD) == 109


def test_all_errors_come_at_once() -> None:
    found = messages(CLASS + b"""rules:
- {rule: tank.a, class: tank, when: levl > 8 m, severity: red}
- {rule: tank.b, class: tank, when: level > 8, severity: black}
- {rule: tank.c, clas: tank, when: level > 8 m, severity: red, latch: maybe}
groups:
- {group: tank.many, by: plant, when: active >= 2, severity: red}
""")
    assert [line.split(" ", 1)[0] for line in found] == [
        "6:37:", "7:45:", "7:58:", "8:18:", "8:71:", "10:26:",
    ]


@pytest.mark.parametrize(("text", "expected"), [
    (b"rules: {a: 1}", "1:8: rules: expected a list"),
    (b"- a", "1:1: expected classes, plans, rules, groups, tests, found a list"),
    (b"classes: [a]", "1:10: classes: expected a mapping"),
    (b"rules:\n- 3", "2:3: expected a mapping, found `3`"),
    (b"a: [1", "1:4: not yaml"),
    (b"a: 'x\n\n\n", "1:4: not yaml"),
    (b"a:\n\tb: 1", "2:1: not yaml"),
    (b"a: 1\n---\nb: 2", "2:1: a second document"),
    (b"a: \xff", "1:4: byte 0xff is not UTF-8"),
    ("a: ü\nb: \x01".encode(), "2:4: not yaml: character U+0001"),
    (b"rules: *gone", "1:8: unknown anchor `gone`"),
    (b"rules: &r [*r]", "1:12: unknown anchor `r`"),
    (b"rules: !!python/object:os.system [x]", "1:8: unexpected tag"),
    (b"[" * 500, "1:34: nested deeper than 32"),
    (b"[" * 5000, "1:1001: nested deeper than 32"),
    (b"{[a]: 1}", "1:2: expected a key, found a list"),
    (b"x" * (4 * 1024 * 1024 + 1), "1:1: file of 4194305 bytes"),
])  # fmt: skip
def test_what_is_not_a_document_is_refused_with_its_place(text: bytes, expected: str) -> None:
    assert messages(text)[0].startswith(expected)


def test_the_expansion_of_aliases_counts() -> None:
    bomb = b"a: &a [" + b"x, " * 100 + b"]\n"
    for name, before in zip(b"bcdefgh", b"abcdefg", strict=True):
        row = b", ".join([b"*%c" % before] * 20)
        bomb += b"%c: &%c [%b]\n" % (name, name, row)
    assert any("4 MiB once aliases are expanded" in line for line in messages(bomb))


def test_a_comma_that_wants_quotes_is_said_once_in_lists_too() -> None:
    found = messages(CLASS + b"""rules:
- {rule: tank.a, class: tank, when: pump, severity: red, evidence: ["level", max(level, 3 m)]}
""")
    fix = "put quotes around an expression with commas inside {\u2026} or [\u2026]"
    assert found == [f"6:89: a comma ends the value here; {fix}"]


def test_errors_inside_quoted_and_folded_texts_point_at_the_character() -> None:
    text = CLASS + b"""rules:
- rule: tank.a
  class: tank
  when: "level > 8 m and
    pumpp"
  severity: red
- rule: tank.b
  class: tank
  when: >-
    level > 8 m
    and pumpp
  severity: red
- {rule: tank.c, class: tank, when: 'pump and ''x'' ', severity: red}
- {rule: tank.d, class: tank, when: pump, severity: red, message: "{asset} \\u7535 {levl}"}
"""
    found = [line.split(" ", 1)[0] for line in messages(text)]
    assert found == ["9:5:", "15:9:", "17:47:", "18:84:"]


@fast
@given(st.sampled_from(SEEDS), st.data())
def test_hostile_files_end_in_positioned_errors(seed: bytes, data: st.DataObject) -> None:
    text = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "twice", "insert", "cut"])):
            case "flip":
                text[at] ^= 1 << data.draw(st.integers(0, 7))
            case "drop":
                end = text.find(b"\n", at)
                del text[at : end if end > 0 else at + 1]
            case "twice":
                text[at:at] = text[at : at + data.draw(st.integers(1, 200))]
            case "insert":
                text[at:at] = data.draw(st.sampled_from([
                    b"{", b"[", b"}", b"]", b"'", b'"', b": ", b"- ", b"&a ", b"*a", b"%", b"null",
                    b"\xe2\x80\xa8", b"1e999", b"-1 s", b"{{", b"!x ", b"? ", b"|\n", b"\x00",
                    b"9" * 400, b"(" * 100, b"[" * 40, b"active(", b"tag: ", b"true",
                ]))
            case _:
                del text[at:]
        if not text:
            break
    loaded = load_texts([("a.yaml", bytes(text))])
    assert (loaded.pack is None) == bool(errors(loaded))
    lines = text.count(b"\n") + text.count(b"\r") + text.count(b"\xe2\x80") + 2
    for problem in (*loaded.problems, *(one for case in loaded.cases for one in case.problems)):
        assert problem.at.path == "a.yaml"
        assert 1 <= problem.at.line <= lines
        assert problem.at.column >= 1
        assert problem.message


@fast
@given(st.sampled_from(SEEDS), st.data())
def test_renamed_keys_and_strange_values_end_in_positioned_errors(
    seed: bytes, data: st.DataObject
) -> None:
    words = seed.replace(b",", b" , ").split(b" ")
    index = data.draw(st.integers(0, len(words) - 1))
    words[index] = data.draw(st.sampled_from([
        b"class:", b"when:", b"{}", b"[]", b"''", b"null", b"~", b"0", b"-1", b"true", b"asset",
        b"a.b.c", b"\xf0\x9f\x98\x80", b"nan", b"inf", b"{a: {b: [c]}}", b"x" * 5000,
    ]))
    loaded = load_texts([("a.yaml", b" ".join(words))])
    assert (loaded.pack is None) == bool(errors(loaded))
