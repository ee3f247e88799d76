from pathlib import Path

import pytest

from connectors.embedded.choice import Choice, NothingToStartError, Say, take_first
from connectors.embedded.server import Server, StartError, UnavailableError


class Way:
    """A choice whose outcome can be changed."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.error = error
        self.choice = Choice(name, self._start)
        self.name = name

    def _start(self, folder: Path, _: Say) -> Server:
        if self.error is not None:
            raise self.error
        return Server(self.name, "", "1", self.name, folder)


def take(folder: Path, *ways: Way) -> tuple[Server, list[str]]:
    said: list[str] = []
    server = take_first("It", "TIDEGATE_IT__URL", [way.choice for way in ways], folder, said.append)
    return server, said


def test_the_first_that_is_there_is_taken_and_why_is_said(tmp_path: Path) -> None:
    server, said = take(tmp_path / "new", Way("a", UnavailableError("no a here")), Way("b"), Way("c"))
    assert server.kind == "b"
    assert server.how == "b (no a here)"
    assert said == ["It: b (no a here)"]


def test_one_that_does_not_start_is_passed_over_while_it_keeps_no_data(tmp_path: Path) -> None:
    server, _ = take(tmp_path, Way("a", StartError("out of memory")), Way("b"))
    assert server.kind == "b"
    assert "a did not start" in server.how
    assert str(tmp_path / "a") in server.how


def test_a_folder_stays_with_the_choice_that_keeps_its_data(tmp_path: Path) -> None:
    first, second = Way("a", UnavailableError("no a here")), Way("b")
    take(tmp_path, first, second)
    first.error = None
    server, _ = take(tmp_path, first, second)
    assert server.kind == "b"
    assert "keeps this folder's data" in server.how


def test_the_one_that_keeps_the_data_is_not_passed_over_when_it_fails(tmp_path: Path) -> None:
    first, second = Way("a"), Way("b")
    take(tmp_path, first, second)
    first.error = StartError("the disk is full")
    with pytest.raises(StartError, match="the disk is full"):
        take(tmp_path, first, second)


def test_that_data_are_left_behind_is_said_when_their_choice_is_gone(tmp_path: Path) -> None:
    first, second = Way("a"), Way("b")
    take(tmp_path, first, second)
    first.error = UnavailableError("no a here")
    server, _ = take(tmp_path, first, second)
    assert server.kind == "b"
    assert f"the data it keeps in {tmp_path / 'a'} are not seen" in server.how


def test_with_nothing_to_take_the_setting_and_every_reason_are_named(tmp_path: Path) -> None:
    with pytest.raises(NothingToStartError, match=r"no a; no b\. Set TIDEGATE_IT__URL"):
        take(tmp_path, Way("a", UnavailableError("no a")), Way("b", UnavailableError("no b")))


def test_an_address_is_never_shown_with_the_server() -> None:
    assert "secret" not in repr(Server("postgresql", "postgresql://u:secret@h/d", "18", "x"))
