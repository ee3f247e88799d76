import json
import socket
from pathlib import Path

import pytest

from connectors.embedded import ports


def listening(port: int) -> socket.socket:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind((ports.LOOPBACK, port))
    taken.listen()
    return taken


def test_ports_stay_the_same_from_run_to_run(tmp_path: Path) -> None:
    first = ports.kept(tmp_path, "client", "controller")
    assert len(set(first)) == 2
    assert ports.kept(tmp_path, "client", "controller") == first


def test_a_port_taken_by_another_program_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    client, controller = ports.kept(tmp_path, "client", "controller")
    with listening(client):
        moved, stayed = ports.kept(tmp_path, "client", "controller")
    assert moved != client
    assert stayed == controller
    assert ports.kept(tmp_path, "client", "controller") == [moved, stayed]


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", json.dumps({"a": "x"}), json.dumps({"a": 70_000})])
def test_a_damaged_file_costs_the_old_port_only(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)
    (port,) = ports.kept(tmp_path, "a")
    assert ports.LOWEST <= port < ports.HIGHEST


def test_no_port_is_given_out_twice_by_one_process() -> None:
    given = [ports.free() for _ in range(200)]
    assert len(set(given)) == len(given)
