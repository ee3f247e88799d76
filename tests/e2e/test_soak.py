"""The short form of the soak: everything is killed, stopped or cut off once, and every promise holds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.soaks.plan import SHORT
from tests.e2e.conftest import clean_environment

# The markers name what has to be there: the soak starts servers of its own, because it kills them.
pytestmark = [
    pytest.mark.apache_kafka,
    pytest.mark.kafka,
    pytest.mark.database,
    pytest.mark.redis,
    pytest.mark.mqtt,
    pytest.mark.timeout(500),
]

# A machine with other work takes longer for each fault, and each is to come.
LONGEST = ("--minutes", "5")
WORKERS = 3
READINGS = 20_000
ROOT = Path(__file__).parents[2]
SEED = "1"


def soak(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "scripts.soaks", *arguments],
        cwd=ROOT,
        env=clean_environment({"TIDEGATE_DATA_DIR": str(folder), **environment}),
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )


def test_nothing_is_lost_and_nothing_stands_twice_whatever_dies(servers_dir: Path) -> None:
    done = soak(servers_dir / "soak", "--short", *LONGEST, "--seed", SEED, "--json")
    said = json.loads(done.stdout) if done.stdout else {}
    assert said.get("violations") == [], done.stderr
    assert done.returncode == 0, done.stderr
    assert (said["lost"], said["duplicated"]) == (0, 0)
    assert said["accepted"] > READINGS
    faults = {fault["name"]: fault for fault in said["faults"]}
    assert set(faults) == {name for step in SHORT for name in step}
    for fault in faults.values():
        assert (fault["lost"], fault["duplicated"]) == (0, 0)
        assert fault["times"] >= 1
    checks = said["checks"]
    assert checks["offsets committed ahead of the marks"] == 0
    assert checks["marks or counters that went backwards"] == 0
    assert checks["looks at marks, offsets and counters"] > 0
    assert checks["counters that do not stand at their last count"] == 0
    assert checks["counts that lost, in dead letters"] > 0
    assert checks["of them duplicates"] > 0
    assert checks["workers that ended when the topic was made anew"] == WORKERS


def test_a_soak_kills_no_server_that_it_was_given(tmp_path: Path) -> None:
    done = soak(tmp_path, "--short", TIDEGATE_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert done.returncode == 2
    assert "unset TIDEGATE_KAFKA__BOOTSTRAP_SERVERS" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    assert soak(tmp_path, "--minutes", "none").returncode == 2
    said = soak(tmp_path, "--help")
    assert said.returncode == 0
    assert "scripts/soak --minutes 20" in said.stdout
