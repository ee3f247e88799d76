"""Two complete regions: a link is cut, a database and a region are killed; nothing is lost or stands twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.embedded import gdnsd, java
from connectors.embedded.server import UnavailableError
from tests.e2e.conftest import clean_environment

# The markers name what has to be there: the drill starts servers of its own, because it kills them.
pytestmark = [
    pytest.mark.apache_kafka,
    pytest.mark.kafka,
    pytest.mark.database,
    pytest.mark.redis,
    pytest.mark.mqtt,
    pytest.mark.timeout(600),
]

READINGS = 3_000


def test_two_regions_come_to_have_the_same_whatever_happens_to_one(servers_dir: Path) -> None:
    try:
        gdnsd.command()
        java.jars(java.MIRROR)
    except UnavailableError as error:
        pytest.skip(f"needs gdnsd and MirrorMaker: {error}")
    done = subprocess.run(  # our own command
        [sys.executable, "-m", "streams.cli.main", "region", "drill", "--short", "--json"],
        env=clean_environment({"TIDEGATE_DATA_DIR": str(servers_dir / "drill")}),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    said = json.loads(done.stdout) if done.stdout else {}
    assert said.get("violations") == [], done.stderr
    assert done.returncode == 0, done.stderr
    assert (said["lost"], said["duplicated"]) == (0, 0)
    assert said["accepted"] > READINGS
    assert said["rows"] == dict.fromkeys(("us", "eu"), said["accepted"])
    assert 0 < said["rto_s"] <= 60
    assert said["rpo_s"] <= 5
    assert [one["name"] for one in said["disasters"]] == ["link cut", "database killed", "region killed"]
    assert said["checks"]["insights in each region"] >= 2
