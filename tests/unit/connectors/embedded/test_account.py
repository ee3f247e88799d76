"""Places elsewhere: tied to a folder, emptied with it, and none of another's business."""

from pathlib import Path

import pytest

from connectors.embedded import account, lock


class Stranger(account.Account):
    """Somebody who reaches nothing of ours."""

    def reaches(self, path: Path) -> bool:
        return path is None


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    monkeypatch.setattr(account, "ELSEWHERE", tmp_path / "elsewhere")
    return Stranger("nobody", 65534, 65534)


def folder_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_folder_keeps_its_place_until_it_is_emptied(tmp_path: Path, stranger: Stranger) -> None:
    folder = folder_of(tmp_path, "a")
    place = account.reachable(folder, stranger)
    (place / "data").touch()
    assert account.reachable(folder, stranger) == place
    assert (place / "data").exists()
    (folder / "token").unlink()
    assert account.reachable(folder, stranger) == place
    assert not (place / "data").exists()


def test_what_belonged_to_a_folder_that_is_gone_is_removed(tmp_path: Path, stranger: Stranger) -> None:
    gone = folder_of(tmp_path, "gone")
    place = account.reachable(gone, stranger)
    (gone / "token").unlink()
    gone.rmdir()
    account.reachable(folder_of(tmp_path, "other"), stranger)
    assert not place.exists()


def test_a_server_that_still_works_for_a_folder_that_is_gone_stops_nobody_else(
    tmp_path: Path, stranger: Stranger
) -> None:
    gone = folder_of(tmp_path, "gone")
    place = account.reachable(gone, stranger)
    (gone / "token").unlink()
    gone.rmdir()
    held = lock.acquire(place / "in-use")
    try:
        account.reachable(folder_of(tmp_path, "other"), stranger)
        assert place.exists()
    finally:
        lock.release(held)
