"""The main job as its users have it: one command, real readings in, rows and insights out, nothing left behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.fakes.stand_in import StandIn

MACHINE = "realKnownCause/machine_temperature_system_failure.csv"
LAST_LINE = re.compile(r"rows (\d+) · duplicates (\d+) · conflicts (\d+) · dead letters (\d+) · insights (\d+)")
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]

FREE_PORT = {"TIDEGATE_HTTP__PORT": "0"}
SMALL_CSV_ROWS = 50


@pytest.fixture
def small_csv(tmp_path: Path) -> Path:
    file = tmp_path / "pump-1.csv"
    lines = [f"2026-01-01 00:{row:02d}:00,{20 + row / 10}" for row in range(SMALL_CSV_ROWS)]
    file.write_text("\n".join(["timestamp,value", *lines]) + "\n", encoding="utf-8")
    return file


def processes_of(folder: Path) -> list[str]:
    """List the processes that work in a folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "environ"]):
        info = process.info
        told = " ".join(
            [*(info["cmdline"] or []), info["cwd"] or "", (info["environ"] or {}).get("TIDEGATE_DATA_DIR", "")]
        )
        if str(folder) in told:
            found.append(f"{info['pid']}: {' '.join(info['cmdline'] or [])}")
    return found


def until_said(process: "subprocess.Popen[str]", what: str) -> None:
    assert process.stderr is not None
    lines: list[str] = []
    while what not in (line := process.stderr.readline()):
        lines.append(line)
        assert line, f"it ended: {''.join(lines)}"


def last_line(out: str) -> list[int]:
    match = LAST_LINE.fullmatch(out.splitlines()[-1])
    assert match is not None, out
    return [int(count) for count in match.groups()]


def gone(folder: Path, within_s: float = 40.0) -> list[str]:
    deadline = time.monotonic() + within_s
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


@pytest.mark.nab
@pytest.mark.kafka
@pytest.mark.database
@pytest.mark.mqtt
@pytest.mark.timeout(300)
def test_real_readings_come_through_once_and_again(tidegate: Run, tmp_path: Path, nab: Path) -> None:
    data = tmp_path / "data"
    command = ("run", "--once", "--data-dir", str(data), "--csv", str(nab / MACHINE))
    first = tidegate(*command, environment=FREE_PORT, timeout=140)
    assert first.returncode == 0, first.stderr
    rows, duplicates, conflicts, letters, insights = last_line(first.stdout)
    # The file repeats 12 instants with other values.
    assert (rows, duplicates, conflicts, letters) == (22_683, 0, 12, 12)
    assert 1 <= insights <= 20
    assert "22695/22695" in first.stderr
    assert gone(data) == []

    again = tidegate(*command, "--json", environment=FREE_PORT, timeout=140)
    assert again.returncode == 0, again.stderr
    result = json.loads(again.stdout.splitlines()[-1])
    assert (result["rows"], result["duplicates"], result["insights"]) == (22_683, 22_683, insights)
    assert len(result["told"]) == insights
    assert all(told["source"] == "rules" for told in result["told"])
    windows = json.loads((nab / "windows.json").read_text())[MACHINE]
    assert any(touches(window, told) for window in windows for told in result["told"])


def touches(window: list[str], told: dict[str, str]) -> bool:
    """Say whether an insight's window overlaps a labelled one."""
    start, end = (datetime.fromisoformat(f"{moment}+00:00") for moment in window)
    return datetime.fromisoformat(told["window_start"]) <= end and datetime.fromisoformat(told["window_end"]) >= start


@pytest.mark.kafka
@pytest.mark.database
@pytest.mark.mqtt
@pytest.mark.timeout(300)
def test_it_waits_for_what_a_model_has_no_time_for(tidegate: Run, tmp_path: Path, stand_in: StandIn) -> None:
    stand_in.queue("503:10")
    file = tmp_path / "pump-1.csv"
    lines = [
        f"2026-01-01 00:{at // 60:02d}:{at % 60:02d},{5.0 + (at % 7) / 10 + (9.0 if at > 390 else 0.0)}"
        for at in range(400)
    ]
    file.write_text("\n".join(["timestamp,value", *lines]) + "\n", encoding="utf-8")
    endpoints = [{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "test-1"}]
    done = tidegate(
        *("run", "--once", "--data-dir", str(tmp_path / "data"), "--csv", str(file), "--json"),
        environment={**FREE_PORT, "TIDEGATE_LLM__ENDPOINTS": json.dumps(endpoints)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [told["source"] for told in json.loads(done.stdout.splitlines()[-1])["told"]] == ["model"], done.stderr
    assert len(stand_in.requests()) == 2


@pytest.mark.kafka
@pytest.mark.database
@pytest.mark.mqtt
@pytest.mark.timeout(300)
def test_a_machine_without_java_or_brokers_does_it_too(
    tidegate: Run, tmp_path: Path, servers_dir: Path, small_csv: Path
) -> None:
    """The wheels alone: no Java, no Docker, no mosquitto on the way to them."""
    bare = servers_dir / "bin"  # where the account that runs PostgreSQL for root comes, too
    bare.mkdir()
    for tool in ("env", "sh", "rm"):
        (bare / tool).symlink_to(str(shutil.which(tool)))
    done = tidegate(
        *("run", "--once", "--data-dir", str(tmp_path / "data"), "--csv", str(small_csv)),
        environment={**FREE_PORT, "PATH": str(bare), "JAVA_HOME": ""},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "noida" in done.stderr
    assert (
        done.stdout.splitlines()[-1]
        == f"rows {SMALL_CSV_ROWS} · duplicates 0 · conflicts 0 · dead letters 0 · insights 0"
    )
    assert gone(tmp_path / "data") == []


@pytest.mark.kafka
@pytest.mark.database
@pytest.mark.mqtt
@pytest.mark.timeout(300)
def test_ctrl_c_says_what_came_of_it_and_leaves_nothing_running(start_tidegate: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = start_tidegate("run", "--devices", "3", "--data-dir", str(data), environment=FREE_PORT)
    until_said(process, "dashboard and API: http://127.0.0.1:")
    time.sleep(3)  # some readings, whatever part of them has arrived by then
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert last_line(out)[0] > 0
    assert gone(data) == []


@pytest.mark.kafka
@pytest.mark.database
@pytest.mark.mqtt
@pytest.mark.timeout(300)
def test_up_says_where_everything_is_and_dies_whole(
    start_tidegate: Start, tidegate: Run, tmp_path: Path, small_csv: Path
) -> None:
    data = tmp_path / "data"
    environment = {**FREE_PORT, "TIDEGATE_DATA_DIR": str(data)}
    process = start_tidegate("up", "--json", environment=environment)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert set(told) == {"kafka", "database", "redis", "mqtt", "http", "broker_kind", "database_kind"}
    with psycopg.connect(told["database"]) as connection:
        assert connection.execute("select count(*) from readings").fetchone() == (0,)
    settings = {
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": told["kafka"],
        "TIDEGATE_DATABASE__URL": told["database"],
        "TIDEGATE_REDIS__URL": told["redis"],
        "TIDEGATE_MQTT__URL": told["mqtt"],
        "TIDEGATE_HTTP__PORT": told["http"].rpartition(":")[2],
    }
    for place, via in enumerate(("mqtt", "kafka", "http")):
        sent = tidegate(
            *("publish", str(small_csv), "--device", f"pump-{via}", "--metric", "pressure", "--via", via, "--json"),
            environment=settings,
        )
        assert sent.returncode == 0, sent.stderr
        assert json.loads(sent.stdout)["sent"] == SMALL_CSV_ROWS
        deadline = time.monotonic() + 30
        with psycopg.connect(told["database"], autocommit=True) as connection:
            while connection.execute("select count(*) from readings").fetchone() != ((place + 1) * SMALL_CSV_ROWS,):
                assert time.monotonic() < deadline
                time.sleep(0.1)
    status = tidegate("status", "--json", environment=settings)
    assert json.loads(status.stdout)["totals"]["stored"] == 3 * SMALL_CSV_ROWS, status.stderr
    doctor = tidegate("doctor", "--json", environment=settings)
    assert doctor.returncode == 0, doctor.stdout
    simulated = tidegate(
        *("simulate", "--devices", "2", "--rate", "50", "--seconds", "1", "--json"), environment=settings
    )
    assert json.loads(simulated.stdout)["sent"] == 100, simulated.stderr
    second = tidegate("up", environment=environment)
    assert second.returncode != 0
    assert str(data) in second.stderr
    process.kill()
    process.communicate()
    assert gone(data) == []


def test_a_file_that_is_not_there(tidegate: Run, tmp_path: Path) -> None:
    done = tidegate("run", "--once", "--csv", str(tmp_path / "none.csv"), "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 2
    assert "There is no file" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_file_without_timestamps(tidegate: Run, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    done = tidegate("run", "--once", "--csv", str(file), "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 2
    assert "no column of timestamps" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("TIDEGATE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:{port}", "127.0.0.1:{port}"),
        ("TIDEGATE_DATABASE__URL", "postgresql://u:s3cret@127.0.0.1:{port}/x", "127.0.0.1:{port}/x"),
        ("TIDEGATE_REDIS__URL", "redis://:s3cret@127.0.0.1:{port}/0", "127.0.0.1:{port}"),
        ("TIDEGATE_MQTT__URL", "mqtt://127.0.0.1:{port}", "127.0.0.1:{port}"),
    ],
)
def test_a_server_that_is_not_there(
    tidegate: Run, tmp_path: Path, small_csv: Path, variable: str, value: str, named: str
) -> None:  # of conftest
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        started = time.monotonic()
        done = tidegate(
            *("run", "--once", "--csv", str(small_csv), "--data-dir", str(tmp_path / "data")),
            environment={**FREE_PORT, variable: value.format(port=port)},
        )
    assert done.returncode == 2, done.stderr
    assert named.format(port=port) in done.stderr
    assert variable in done.stderr
    assert "s3cret" not in done.stderr
    assert time.monotonic() - started < 20


def test_a_port_that_is_taken(tidegate: Run, tmp_path: Path, small_csv: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = tidegate(
            *("run", "--once", "--csv", str(small_csv), "--data-dir", str(tmp_path / "data")),
            environment={"TIDEGATE_HTTP__PORT": str(port)},
        )
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "TIDEGATE_HTTP__PORT" in done.stderr


def test_a_setting_that_cannot_be(tidegate: Run) -> None:
    done = tidegate("status", environment={"TIDEGATE_KAFKA__PARTITIONS": "many"})
    assert done.returncode == 2
    assert "TIDEGATE_KAFKA__PARTITIONS" in done.stderr


def test_fresh_never_empties_a_folder_of_somebody_else(tidegate: Run, tmp_path: Path, small_csv: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("…", encoding="utf-8")
    done = tidegate(
        "run", "--once", "--fresh", "--csv", str(small_csv), "--data-dir", str(precious), environment=FREE_PORT
    )
    assert done.returncode == 2
    assert (precious / "thesis.txt").exists()
