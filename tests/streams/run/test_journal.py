import json
from pathlib import Path
from typing import Any

import pytest

from streams.run.journal import ALERTS, DATABASE, Journal, JournalError, opened

CONTENTS: list[dict[str, object]] = [{"what": i, "type": "activation"} for i in range(4)]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / ALERTS).read_text().splitlines()]


def test_what_is_written_is_in_ledger_and_alerts_with_the_same_hash(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "demo")
    new = journal.write(CONTENTS[:2])
    assert [x["what"] for x in new] == [0, 1]
    stored = list(journal.store.records())
    assert [x["hash"] for x in lines(tmp_path)] == [r.hash.hex() for r in stored]
    assert journal.verify() is None
    journal.close()


def test_after_a_crash_what_was_said_before_is_neither_written_nor_shown_again(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, "demo")
    journal.write(CONTENTS[:1])
    journal.save(100, b"state")
    journal.write(CONTENTS[1:3])
    journal.close()  # no snapshot of the last two: as if killed
    again = Journal(tmp_path, "demo")
    assert again.snapshot is not None
    assert (again.snapshot.position, again.snapshot.state) == (100, b"state")
    assert again.write(CONTENTS[1:2]) == []
    assert [x["what"] for x in again.write(CONTENTS[2:4])] == [3]
    assert [x["what"] for x in lines(tmp_path)] == [0, 1, 2, 3]
    assert again.verify() is None
    again.close()


def test_another_story_after_a_crash_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "demo")
    journal.write(CONTENTS[:2])
    journal.close()
    again = Journal(tmp_path, "demo")
    with pytest.raises(JournalError, match="from record 1 on the kept messages"):
        again.write(CONTENTS[2:])
    again.close()


def test_a_ledger_without_the_record_that_its_snapshot_is_of_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "demo")
    journal.write(CONTENTS[:2])
    journal.save(100, b"state")
    journal.store._db.execute("DELETE FROM ledger WHERE n = 2")
    journal.close()
    with pytest.raises(JournalError, match=r"record 2 is missing.*ledger verify"):
        Journal(tmp_path, "demo")


@pytest.mark.parametrize("cut", [1, 20, 60, 10_000])
def test_alerts_lost_by_a_crash_are_made_good_from_the_ledger(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path, "demo")
    journal.write(CONTENTS)
    journal.close()
    whole = (tmp_path / ALERTS).read_bytes()
    (tmp_path / ALERTS).write_bytes(whole[: max(0, len(whole) - cut)])
    Journal(tmp_path, "demo").close()
    assert (tmp_path / ALERTS).read_bytes() == whole


def test_a_foreign_alerts_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ALERTS).write_text("hello\n")
    with pytest.raises(OSError, match="is no alert of Tocsin"):
        Journal(tmp_path, "demo")


def test_a_ledger_of_other_data_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path, "demo").close()
    with pytest.raises(JournalError, match=r"other data \(demo\).*--ledger"):
        Journal(tmp_path, "files")


def test_a_finished_run_is_moved_aside_and_kept(tmp_path: Path) -> None:
    for number in (1, 2):
        journal, aside = opened(tmp_path, "demo")
        assert aside == (None if number == 1 else tmp_path / "finished-001")
        journal.write(CONTENTS[:number])
        journal.save(1, b"", finished=True)
        journal.close()
    journal, aside = opened(tmp_path, "other data, as that one had finished")
    assert aside == tmp_path / "finished-002"
    assert journal.length == 0
    journal.close()
    assert len(lines(tmp_path / "finished-001")) == 1
    assert (tmp_path / "finished-002" / DATABASE).is_file()
