"""Java, and the jars of Apache Kafka and MirrorMaker, resolved by Maven once and kept in the user's cache."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from connectors.embedded import cache, lock
from connectors.embedded.server import Leashed, UnavailableError, leashed, output_of

KAFKA_VERSION = "4.3.1"
OLDEST_JAVA = 17
# A registry that does not answer is given up after this long without a new byte, whatever Maven's own time-outs do.
STALLED_S = 10.0
LONGEST_S = 300.0
POLL_S = 0.1
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
# What Maven calls them.
BROKER, MIRROR = "kafka_2.13", "connect-mirror"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tidegate</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
    </dependency>
    <!-- Kafka logs through SLF4J 1.7; without this the log stays empty. Its version is that of Kafka's log4j-core. -->
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
"""


def java() -> tuple[str, int]:
    """Give the `java` command (of JAVA_HOME, else of PATH) and its major version.

    Raises:
        UnavailableError: there is none, or it is too old.

    """
    home = os.environ.get("JAVA_HOME", "")
    command = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    command = command or shutil.which("java")
    if command is None:
        raise UnavailableError("no Java")
    found = re.search(r'version "(\d+)', output_of([command, "-version"]))
    major = int(found.group(1)) if found else 0
    if major < OLDEST_JAVA:
        raise UnavailableError(f"Java is older than {OLDEST_JAVA}" if major else f"{command} does not run")
    return command, major


def cached(artifact: str) -> bool:
    """Say whether the jars of an artifact are there already."""
    return _target(artifact).is_dir()


def jars(artifact: str) -> Path:
    """Give the directory of an artifact's jars, with all that it needs; Maven is needed the first time only.

    Raises:
        UnavailableError: they are not cached, and there is no Maven, or its registry does not answer.

    """
    target = _target(artifact)
    if cached(artifact):
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError("no Maven to fetch Apache Kafka with")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Others who start at the same time wait for this one's download, as long as it could take.
        held = lock.acquire(target.with_name(f"{target.name}.lock"), wait_s=LONGEST_S)
        try:
            return cache.made_whole(target, lambda making: _resolve(maven, artifact, making))
        finally:
            lock.release(held)
    except OSError as error:
        raise UnavailableError(f"Apache Kafka's jars cannot be kept in {target.parent} ({error.strerror})") from error


def _target(artifact: str) -> Path:
    name = "kafka" if artifact == BROKER else artifact
    return cache.user_cache() / f"{name}-{KAFKA_VERSION}"


def _resolve(maven: str, artifact: str, making: Path) -> None:
    # Files that an interrupted download did complete are found again by the next attempt.
    repository = making.parent / "maven"
    repository.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tidegate-maven-") as work:
        folder = Path(work)
        (folder / "pom.xml").write_text(POM.format(artifact=artifact, version=KAFKA_VERSION), encoding="utf-8")
        log = folder / "maven.log"
        # Updating means: ask again for what an earlier attempt was told is missing.
        command = [maven, "--batch-mode", "--update-snapshots", "--file", str(folder / "pom.xml")]
        command += [f"-Dmaven.repo.local={repository}"]
        command += ["-Daether.connector.connectTimeout=5000", "-Daether.connector.requestTimeout=8000"]
        command += ["-Dmaven.wagon.http.retryHandler.count=0", "-Daether.connector.http.retryHandler.count=1"]
        command += [COPY, "-DincludeScope=runtime", f"-DoutputDirectory={making}"]
        process = leashed(command, folder=folder, log=log, grace_s=1.0)
        try:
            _watch(process, (repository, log))
        finally:
            process.stop()
        if process.exit_code != 0:
            raise UnavailableError(f"Maven could not fetch Apache Kafka ({_complaint(log)})")
    shutil.rmtree(repository, ignore_errors=True)


def _watch(process: Leashed, growing: tuple[Path, ...]) -> None:
    started = moved = time.monotonic()
    before = -1
    while process.alive:
        now = time.monotonic()
        size = sum(_sizes(growing))
        if size != before:
            before, moved = size, now
        if now - moved > STALLED_S or now - started > LONGEST_S:
            raise UnavailableError(f"Maven fetched nothing for {STALLED_S:.0f} s: its registry does not answer")
        time.sleep(POLL_S)


def _sizes(paths: tuple[Path, ...]) -> Iterator[int]:
    for path in paths:
        for file in (path, *path.rglob("*")):
            try:
                yield file.stat().st_size
            except FileNotFoundError:  # Maven renames what it has fetched
                continue


def _complaint(log: Path) -> str:
    errors = [line for line in log.read_text("utf-8", "replace").splitlines() if "ERROR" in line]
    return errors[0].removeprefix("[ERROR] ")[:200] if errors else "it says nothing of why"
