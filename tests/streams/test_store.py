import sqlite3
from pathlib import Path

import pytest

from rules.model import Asset
from rules.records import Message
from streams import store as store_module
from streams.ledger import Chain, verify
from streams.store import SCHEMA, Kept, Snapshot, Store, StoreError


def test_records_and_snapshots_are_there_after_reopening(tmp_path: Path) -> None:
    chain = Chain()
    records = [chain.append({"x": i}) for i in range(4)]
    with Store(tmp_path / "a.db") as store:
        store.append(records, {"source": "demo"})
        store.save(Snapshot(10, 2, b"one"))
        store.save(Snapshot(20, 4, b"two"), {"finished": "yes"})
    with Store(tmp_path / "a.db") as store:
        assert list(store.records()) == records
        assert list(store.records(after=2)) == records[2:]
        assert store.latest() == Snapshot(20, 4, b"two")
        assert (store.fact("source"), store.fact("finished")) == ("demo", "yes")
        assert store.head() == (4, records[-1].hash)
        assert verify(store.records(), store.head()) is None


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    chain = Chain()
    one, two = chain.append({}), chain.append({})
    with Store(tmp_path / "a.db") as store:
        store.append([one])
        with pytest.raises(StoreError, match="cannot be written"):
            store.append([two, one], {"source": "x"})
        assert list(store.records()) == [one]
        assert store.fact("source") is None


def test_only_the_newest_two_snapshots_are_kept(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        for i in range(5):
            store.save(Snapshot(i, i, b"x"))
        assert store._db.execute("SELECT position FROM snapshots").fetchall() == [(3,), (4,)]


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Store(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer Tocsin \(format 3, this one reads 2\); upgrade"):
        Store(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE ledger (n)")
    db.close()
    with pytest.raises(StoreError, match="another program"):
        Store(path)


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 200])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be used as a ledger"):
        Store(path)


def test_one_run_writes_at_a_time_and_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    record = Chain().append({})
    with Store(path) as store:
        store.append([record])
        with pytest.raises(StoreError, match="another run is writing"):
            Store(path)
        with Store(path, readonly=True) as reader:
            assert list(reader.records()) == [record]
    Store(path).close()


def test_reading_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such ledger"):
        Store(tmp_path / "a.db", readonly=True)
    assert not (tmp_path / "a.db").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/a\.db: cannot be used"):
        Store(tmp_path / "file" / "a.db")


MESSAGES = [
    Message("a", "c", 5, {"x": 1.5, "y": "on", "z": None, "e": [1, "two"]}, 7, historical=True),
    Message("氢", "c", 6, {}),
]


def test_messages_are_kept_as_they_were_taken(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        store.append((), kept=Kept(10, MESSAGES))
        store.append((), kept=Kept(20, MESSAGES[1:]))
        assert list(store.readings()) == [Kept(10, MESSAGES), Kept(20, MESSAGES[1:])]
        assert list(store.readings(after=10)) == [Kept(20, MESSAGES[1:])]
        assert list(store.readings(upto=10)) == [Kept(10, MESSAGES)]


def test_texts_are_kept_by_their_hash(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        store.keep("abc", [("p/r.yaml", b"\xef")])
        store.keep("abc", [("other", b"")])     # the same name is the same content
        store.keep("def", [["L1", "lift", {"v": 1.5, "b": "x"}, {"r.for": "1 s"}]])
        assert store.pack_files("abc") == [("p/r.yaml", b"\xef")]
        assert store.inventory("def") == [Asset("L1", "lift", {"v": 1.5, "b": "x"},
                                                {"r.for": "1 s"})]
        with pytest.raises(StoreError, match="named nothing are missing"):
            store.pack_files("nothing")


def test_a_base_outlives_the_newest_two(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        store.save(Snapshot(1, 1, b"base"), base=True)
        for i in range(2, 6):
            store.save(Snapshot(i, i, b"x"))
        assert store.base(1) is None
        assert store.base(6) == Snapshot(1, 1, b"base")
        assert store.latest() == Snapshot(5, 5, b"x")


def test_beyond_the_limit_the_oldest_messages_go_with_the_base_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "a.db") as store:
        for position in range(10, 60, 10):
            store.append((), kept=Kept(position, MESSAGES))
            store.save(Snapshot(position, 0, b""), base=True)
        size = store._db.execute("SELECT max(length(body)) FROM readings").fetchone()[0]
        monkeypatch.setattr(store_module, "KEPT_BYTES", 3 * size)
        store.append((), kept=Kept(60, MESSAGES))
        store.save(Snapshot(60, 0, b""), base=True)
        assert [x.position for x in store.readings()] == [40, 50, 60]
        assert (store.base(31), store.fact("trimmed")) == (Snapshot(30, 0, b""), "30")
        assert store.base(30) is None


def test_what_else_is_written_shares_the_fate_of_the_records(tmp_path: Path) -> None:
    chain = Chain()
    one, two = chain.append({}), chain.append({})

    def also(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO facts VALUES ('also', 'x')")

    with Store(tmp_path / "a.db") as store:
        store.append([one])
        with pytest.raises(StoreError):
            store.append([two, one], also=also)
        assert store.fact("also") is None
        store.append([two], also=also)
        assert store.fact("also") == "x"
