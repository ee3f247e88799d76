"""A schema registry that is not ours: Apicurio, fetched by Maven once and kept in the user's cache."""

import shutil
import signal
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.embedded import cache, java, ports
from connectors.embedded.server import UnavailableError

# The last line of versions that run on Java 17.
VERSION = "2.6.13.Final"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
FETCH_S, START_S = 240, 60


def _fetch(making: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("needs Apicurio Registry: no Maven to fetch it with")
    command = [maven, "-q", "-B", COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={making}"]
    try:
        subprocess.run(command, check=True, timeout=FETCH_S, capture_output=True)  # noqa: S603  # Maven
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"needs Apicurio Registry, which Maven could not fetch ({type(error).__name__})")
    (packed,) = making.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(making, filter="data")
    packed.unlink()


@pytest.fixture(scope="session")
def apicurio_jar() -> Path:
    """The registry's program; its first start of all fetches 140 MB."""
    folder = cache.made_whole(cache.user_cache() / f"apicurio-{VERSION}", _fetch)
    (jar,) = folder.glob("*-runner.jar")
    return jar


@pytest.fixture(scope="module")
def apicurio(apicurio_jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start an empty registry; gives the address of its API that speaks as Confluent's."""
    try:
        command, _ = java.java()
    except UnavailableError as error:
        pytest.skip(f"needs Apicurio Registry: {error}")
    port, log = ports.free(), tmp_path_factory.mktemp("apicurio") / "log"
    options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # Java
            [command, *options, "-jar", str(apicurio_jar)], stdout=output, stderr=output, cwd=log.parent
        )
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    try:
        deadline = time.monotonic() + START_S
        while not _answers(f"{url}/subjects"):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, "Apicurio is not there in time"
            time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # ours
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
