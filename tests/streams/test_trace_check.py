"""Whatever is changed in a ledger is found, and said plainly."""

import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest

from streams.ledger import Record, link, verify
from streams.run.again import again
from streams.run.journal import ALERTS, DATABASE
from streams.store import Store, StoreError
from streams.trace_check import check
from streams.trace_ledger import story_of, verify_alarm, verify_all
from tests.streams.trace_kit import MIN, Plant, usual


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return usual(tmp_path_factory.mktemp("whole") / "ledger").end()


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "ledger"))


def edit(folder: Path, *statements: str) -> None:
    db = sqlite3.connect(folder / DATABASE)
    with db:
        for statement in statements:
            db.execute(statement)
    db.close()


def first(folder: Path) -> tuple[str, int | None]:
    outcome = check(folder)
    assert not outcome.whole
    return outcome.faults[0].kind, outcome.faults[0].n


def test_an_untouched_ledger_is_whole(folder: Path) -> None:
    outcome = check(folder)
    assert outcome.whole
    assert (outcome.records, outcome.notes) == (24, [])
    with Store(folder / DATABASE, readonly=True) as store:
        head = store.head()
    assert head is not None
    assert outcome.head == head[1].hex()


def test_every_byte_of_every_record_counts(made: Path) -> None:
    """All of the bodies and hashes, one bit at a time."""
    with Store(made / DATABASE, readonly=True) as store:
        records, head = list(store.records()), store.head()
    random = Random(1)
    for i, record in enumerate(records[:9]):
        for name in ("hash", "body"):
            data = getattr(record, name)
            for place in range(len(data)):
                flipped = bytearray(data)
                flipped[place] ^= 1 << random.randrange(8)
                changed = [*records[:i], replace(record, **{name: bytes(flipped)})]
                broken = verify([*changed, *records[i + 1 :]], head)
                assert broken is not None
                assert broken.n == i + 1


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE ledger SET body = replace(body, 'calling', 'Calling') WHERE n = 8", "changed"),
        ("UPDATE ledger SET body = CAST(body AS TEXT) WHERE n = 8", "changed"),
        ("UPDATE ledger SET body = x'' WHERE n = 8", "changed"),
        ("UPDATE ledger SET body = 5 WHERE n = 8", "changed"),
        ("UPDATE ledger SET hash = hex(hash) WHERE n = 8", "changed"),
        ("UPDATE ledger SET hash = zeroblob(32) WHERE n = 8", "changed"),
        ("DELETE FROM ledger WHERE n = 8", "missing"),
        ("UPDATE ledger SET n = 99 WHERE n = 8", "reordered"),
        ("UPDATE ledger SET n = -5 WHERE n = 8", None),
        ("DELETE FROM ledger WHERE n >= 8", "missing"),
    ],
)
def test_a_record_changed_by_hand_is_named(folder: Path, statement: str, fault: str | None) -> None:
    edit(folder, statement)
    outcome = check(folder)
    assert not outcome.whole
    if fault is not None:
        assert (outcome.faults[0].kind, outcome.faults[0].n) == (fault, 8)
        assert "record 8" in outcome.faults[0].text


def test_two_records_that_changed_places_are_found(folder: Path) -> None:
    edit(folder, "UPDATE ledger SET n = 1000 WHERE n = 8", "UPDATE ledger SET n = 8 WHERE n = 9",
         "UPDATE ledger SET n = 9 WHERE n = 1000")  # fmt: skip
    assert first(folder) == ("reordered", 8)


def rewritten(folder: Path, upto: int | None = None) -> None:
    """Who changes a body and makes every later hash anew."""
    db = sqlite3.connect(folder / DATABASE)
    before = bytes(32)
    with db:
        for n, body in db.execute("SELECT n, body FROM ledger ORDER BY n").fetchall():
            data = body.replace(b"calling", b"ringing")
            before = link(before, data)
            db.execute("UPDATE ledger SET body = ?, hash = ? WHERE n = ?", (data, before, n))
            if n == upto:
                break
        if upto is None:
            head = f"24:{before.hex()}"
            db.execute("UPDATE facts SET value = ? WHERE name = 'head'", (head,))
    db.close()


def test_a_chain_made_anew_differs_from_the_alerts_file_and_from_a_hash_noted_elsewhere(
    folder: Path,
) -> None:
    noted = check(folder).head
    rewritten(folder)
    assert first(folder) == ("alerts", 7)
    (folder / ALERTS).unlink()
    outcome = check(folder)
    assert outcome.whole
    assert outcome.notes == [f"{ALERTS} is not there; the next start writes it anew"]
    found = check(folder, noted)
    assert [fault.kind for fault in found.faults] == ["missing"]
    assert noted in found.faults[0].text
    assert check(folder, outcome.head).whole


def test_a_chain_made_anew_without_the_note_is_found_by_the_note(folder: Path) -> None:
    edit(folder, "DELETE FROM ledger WHERE n = 24")
    (folder / ALERTS).unlink()
    assert first(folder) == ("missing", 24)
    rewritten(folder, 23)
    edit(folder, f"UPDATE facts SET value = '23:{'0' * 64}' WHERE name = 'head'")
    assert first(folder) == ("changed", 23)


@pytest.mark.parametrize(
    "value", ["24:xyz", "x:00", "", "24", "-3:" + "0" * 64, "24:00", "9" * 30 + ":" + "0" * 64]
)
def test_a_note_that_makes_no_sense_is_a_fault(folder: Path, value: str) -> None:
    edit(folder, f"UPDATE facts SET value = '{value}' WHERE name = 'head'")
    assert not check(folder).whole


def test_a_note_that_is_gone_or_behind_is_a_fault(folder: Path) -> None:
    with Store(folder / DATABASE, readonly=True) as store:
        earlier = next(r for r in store.records() if r.n == 20).hash.hex()
    edit(folder, f"UPDATE facts SET value = '20:{earlier}' WHERE name = 'head'")
    assert not check(folder).whole
    edit(folder, "DELETE FROM facts WHERE name = 'head'")
    assert not check(folder).whole


def test_packs_and_inventories_must_be_kept_as_they_were(folder: Path) -> None:
    edit(folder, "DELETE FROM texts")
    outcome = check(folder)
    assert [(fault.kind, fault.n) for fault in outcome.faults] == [("pack", 1), ("pack", 1)]
    assert "names the pack" in outcome.faults[0].text
    assert "names the inventory" in outcome.faults[1].text


@pytest.mark.parametrize("body", ["x'00'", "zeroblob(0)", "5", "'text'"])
def test_texts_that_cannot_be_unpacked_are_said_to_be_damaged(folder: Path, body: str) -> None:
    edit(folder, f"UPDATE texts SET body = {body}")
    assert [fault.kind for fault in check(folder).faults] == ["pack", "pack"]


def test_other_texts_under_the_name_are_found(folder: Path) -> None:
    db = sqlite3.connect(folder / DATABASE)
    with db:
        (pack, text), (inventory, assets) = sorted(
            db.execute("SELECT name, body FROM texts").fetchall(), key=lambda row: -len(row[1])
        )
        db.execute("UPDATE texts SET body = ? WHERE name = ?", (text[:-1], inventory))
        other = zlib.compress(msgspec.msgpack.encode([["tank.yaml", b"rules: []"]]))
        db.execute("UPDATE texts SET body = ? WHERE name = ?", (other, pack))
    db.close()
    assert assets != text
    assert [fault.kind for fault in check(folder).faults] == ["pack", "pack"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data.replace(b"calling", b"Calling"), ("alerts", 7)),
        (lambda data: b"".join(data.splitlines(keepends=True)[1:]), ("alerts", 1)),
        (lambda data: b"".join(data.splitlines(keepends=True)[:-2]), ("alerts", 23)),
        (lambda data: data + data.splitlines(keepends=True)[-1], ("missing", 25)),
        (lambda _: b"", ("alerts", 1)),
        (lambda _: b"\xff\n" * 3, ("alerts", 1)),
    ],
)
def test_the_alerts_file_is_held_against_the_ledger(
    folder: Path, change: Callable[[bytes], bytes], expected: tuple[str, int]
) -> None:
    path = folder / ALERTS
    path.write_bytes(change(path.read_bytes()))
    assert first(folder) == expected


def test_a_run_that_writes_is_no_fault(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.says(0, pressure=9.0, mode="filling", valve=True)
    plant.until(MIN)
    path = tmp_path / ALERTS
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]) + b'{"cut of')
    outcome = check(tmp_path)
    assert outcome.whole
    assert [note.partition(" ")[0] for note in outcome.notes] == ["the", ALERTS]
    plant.close()


def test_any_byte_of_the_file_may_flip_and_nothing_breaks(made: Path, tmp_path: Path) -> None:
    """Whatever a disk does to the file, the check ends, and what rows say is whole or named."""
    random = Random(7)
    original = (made / DATABASE).read_bytes()
    with Store(made / DATABASE, readonly=True) as store:
        records = list(store.records())
    found = 0
    for round_ in range(250):
        folder = tmp_path / f"{round_}"
        folder.mkdir()
        data = bytearray(original)
        place = random.randrange(len(data))
        data[place] ^= 1 << random.randrange(8)
        (folder / DATABASE).write_bytes(data)
        try:
            outcome = check(folder)
        except StoreError:
            found += 1
            continue
        found += not outcome.whole
        if outcome.whole:
            with Store(folder / DATABASE, readonly=True) as store:
                assert list(store.records()) == records, place
        shutil.rmtree(folder)
    assert found > 20


def test_a_file_that_is_cut_off_or_no_database_is_said_to_be_so(folder: Path) -> None:
    path = folder / DATABASE
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], b"not a database" * 1000, b""):
        path.write_bytes(damaged)
        outcome = check(folder)
        assert not outcome.whole
        assert outcome.faults[0].text
    path.unlink()
    with pytest.raises(StoreError, match="no such ledger"):
        check(folder)


def test_a_page_that_no_record_needs_is_found_by_sqlite(folder: Path) -> None:
    db = sqlite3.connect(folder / DATABASE)
    page = db.execute("PRAGMA page_size").fetchone()[0]
    root = db.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_facts%'")
    start = (root.fetchone()[0] - 1) * page
    db.close()
    data = bytearray((folder / DATABASE).read_bytes())
    data[start + page - 40 : start + page] = bytes(40)
    (folder / DATABASE).write_bytes(data)
    assert any(fault.kind in ("file", "head") for fault in check(folder).faults)


# Running it again ---------------------------------------------------------------------------------


def test_every_alarm_comes_out_again_byte_for_byte(folder: Path) -> None:
    with Store(folder / DATABASE, readonly=True) as store:
        outcome, count = verify_all(store, again)
        assert (outcome.same, outcome.compared, count) == (True, 24, 5)
        for asked in ("tank.pressure@T-1", "tank.leak@T-1", "tank.silent@T-2", "site.both@T-1"):
            one = verify_alarm(store, story_of(store, asked).chronicle, again)
            assert one.same, one
            assert one.compared >= 1


def test_records_that_a_run_adds_meanwhile_are_no_difference(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.says(0, pressure=9.0, mode="filling", valve=True)
    plant.until(MIN)

    def busy(store: Store, upto: int | None, since: int | None) -> Iterator[Record]:
        yield from again(store, upto, since)
        plant.says(2 * MIN, code=1)

    with Store(tmp_path / DATABASE, readonly=True) as store:
        outcome, count = verify_all(store, busy)
        assert (outcome.same, outcome.compared, count) == (True, 4, 2)
        assert len(list(store.records())) > 4
    plant.close()


def forged(folder: Path, old: str, new: str, n: int) -> None:
    edit(folder, f"UPDATE ledger SET body = CAST(replace(CAST(body AS TEXT), '{old}', '{new}') "
                 f"AS BLOB) WHERE n = {n}")  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "n", "how"),
    [
        ('"pressure 9.4 bar"', '"pressure 8.4 bar"', 3, "evidence"),
        ('"severity":"orange"', '"severity":"yellow"', 9, "severity"),
        ('"announced":true', '"announced":false', 3, "announced"),
        ('"by":"li"', '"by":"wu"', 14, "by"),
        ('"reason":"seen"', '"reason":"SEEN"', 4, "hash"),
    ],
)
def test_a_forged_record_is_named_with_what_differs(
    folder: Path, old: str, new: str, n: int, how: str
) -> None:
    forged(folder, old, new, n)
    with Store(folder / DATABASE, readonly=True) as store:
        chronicle = story_of(store, "tank.pressure@T-1").chronicle
        outcome = verify_alarm(store, chronicle, again)
        everything, _ = verify_all(store, again)
    assert not outcome.same
    assert not everything.same
    assert outcome.differs == everything.differs == n
    assert outcome.how.startswith(how) or how in outcome.how
    if n != 4:
        assert outcome.whose == chronicle.alarm.id


def test_readings_that_were_changed_make_another_outcome(folder: Path) -> None:
    db = sqlite3.connect(folder / DATABASE)
    with db:
        for position, body in db.execute("SELECT position, body FROM readings").fetchall():
            rows = msgspec.msgpack.decode(zlib.decompress(body))
            for row in rows:
                if "pressure" in row[3]:
                    row[3]["pressure"] -= 3.0
            data = zlib.compress(msgspec.msgpack.encode(rows))
            db.execute("UPDATE readings SET body = ? WHERE position = ?", (data, position))
    db.close()
    with Store(folder / DATABASE, readonly=True) as store:
        outcome, _ = verify_all(store, again)
        assert outcome.differs == 3
        assert not verify_alarm(
            store, story_of(store, "tank.pressure@T-1").chronicle, again
        ).same


def test_readings_that_are_gone_leave_records_that_do_not_come_again(folder: Path) -> None:
    edit(folder, "DELETE FROM readings", "DELETE FROM snapshots")
    with Store(folder / DATABASE, readonly=True) as store:
        outcome, _ = verify_all(store, again)
    assert not outcome.same


def test_a_base_that_cannot_be_read_is_done_without(folder: Path) -> None:
    edit(folder, "UPDATE snapshots SET state = zeroblob(8)")
    with Store(folder / DATABASE, readonly=True) as store:
        outcome = verify_alarm(store, story_of(store, "tank.leak@T-1").chronicle, again)
        assert outcome.same
        assert verify_all(store, again)[0].same
    edit(folder, "INSERT INTO facts VALUES ('trimmed', '1772431300000')")
    with Store(folder / DATABASE, readonly=True) as store:
        chronicle = story_of(store, "tank.leak@T-1").chronicle
        with pytest.raises(StoreError, match="no longer kept"):
            verify_alarm(store, chronicle, again)
