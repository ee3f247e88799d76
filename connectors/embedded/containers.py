"""Servers as containers, where a Docker engine of this machine answers: testcontainers starts and reaps them.

Data is in a named volume per data folder, since the images run as users of their own, who could not write into the
folder itself. The folder remembers the volume's name, so emptying the folder means starting from nothing.
"""

import base64
import json
import os
import queue
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from connectors.embedded.images import KAFKA, TIMESCALE, VALKEY, Image
from connectors.errors import ConnectorError

LOOPBACK: Final = "127.0.0.1"
LABEL: Final = "tidegate.data"
REMEMBERED: Final = "container.json"
SECOND_NS: Final = 1_000_000_000

# What the engine may take to answer, and its registry to begin a download; then it may pause for longer.
ANSWER_S: Final = 15
PAUSE_S: Final = 60
DONE: Final = "done"
READY_S: Final = 120.0
STOP_S: Final = 30
# The reaper removes the containers of a parent that was killed ten seconds after its death.
REAPED_WITHIN_S: Final = 25.0


class ContainerError(ConnectorError):
    """The Docker engine answers, but could not run the container."""


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """A server that answered its health check; `container` is testcontainers' own object."""

    image: Image
    container: Any

    def stop(self) -> None:
        """Let the server write what it holds, then remove the container. Its volume stays.

        Raises:
            ContainerError: the engine refused, or no longer answers.

        """
        with _explained(self.image), suppress(_docker().errors.NotFound):
            # testcontainers alone would kill it.
            self.container.get_wrapped_container().stop(timeout=STOP_S)
            self.container.stop()


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a data folder knows of its volume: the name, and what the server in it was made with."""

    volume: str
    cluster_id: str
    password: str

    @classmethod
    def of(cls, data_dir: Path, server: str) -> Self:
        """Read what the folder remembers, or make it anew."""
        path = data_dir / REMEMBERED
        if path.exists():
            return cls(**json.loads(path.read_text("utf-8")))
        data_dir.mkdir(parents=True, exist_ok=True)
        fresh = cls(f"tidegate-{server}-{secrets.token_hex(6)}", _cluster_id(), secrets.token_urlsafe(24))
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(fresh), file)
        return fresh


def docker_answers(timeout_s: float = 3.0) -> bool:
    """Say whether a Docker engine of this machine answers within `timeout_s` seconds; never raises, never hangs.

    An engine on another machine does not count: what it publishes on its loopback address is not reachable from here.
    """
    answered = threading.Event()
    # In a thread of its own: the client's time limit is one per read, and finding the host has none.
    asking = threading.Thread(target=_ask, args=(answered, timeout_s), daemon=True)
    asking.start()
    asking.join(timeout_s)
    return answered.is_set()


def start_kafka(data_dir: Path) -> tuple[RunningContainer, str]:
    """Start Apache Kafka (KRaft, one node) with its log kept for `data_dir`; gives `host:port`.

    Raises:
        ContainerError: the image cannot be had, the data is in use, or the broker did not become healthy.

    """
    remembered = Remembered.of(data_dir, "kafka")
    port = _free_port()  # Known beforehand, because the broker tells its clients where they reach it.
    advertised = f"INTERNAL://localhost:19092,EXTERNAL://{LOOPBACK}:{port}"
    environment = {"CLUSTER_ID": remembered.cluster_id, "KAFKA_ADVERTISED_LISTENERS": advertised}
    return _start(KAFKA, data_dir, remembered, port, environment), f"{LOOPBACK}:{port}"


def start_timescale(data_dir: Path) -> tuple[RunningContainer, str]:
    """Start PostgreSQL with TimescaleDB, its tables kept for `data_dir`; gives a URL that carries the password.

    Raises:
        ContainerError: the image cannot be had, the data is in use, or the server did not become healthy.

    """
    remembered = Remembered.of(data_dir, "timescale")
    port = _free_port()
    running = _start(TIMESCALE, data_dir, remembered, port, {"POSTGRES_PASSWORD": remembered.password})
    return running, f"postgresql://tidegate:{remembered.password}@{LOOPBACK}:{port}/tidegate"


def start_valkey(data_dir: Path) -> tuple[RunningContainer, str]:
    """Start Valkey with its append-only file kept for `data_dir`; gives a URL.

    Raises:
        ContainerError: the image cannot be had, the data is in use, or the server did not become healthy.

    """
    remembered = Remembered.of(data_dir, "valkey")
    port = _free_port()
    return _start(VALKEY, data_dir, remembered, port, {}), f"redis://{LOOPBACK}:{port}/0"


def _docker() -> Any:  # noqa: ANN401  # a module without types
    import docker  # type: ignore[import-untyped]  # noqa: PLC0415  # belongs to an extra, and has no types

    return docker


def _ask(answered: threading.Event, timeout_s: float) -> None:
    try:
        docker = _docker()
        from testcontainers.core.docker_client import get_docker_host  # noqa: PLC0415  # belongs to an extra
    except ImportError:
        return
    host = get_docker_host()
    parts = urlsplit(host or "unix:///var/run/docker.sock")
    if parts.scheme not in {"unix", "npipe"} and parts.hostname not in {"localhost", LOOPBACK, "::1"}:
        return
    if parts.scheme == "unix" and not _listens(parts.path, timeout_s):
        return
    with suppress(docker.errors.DockerException, OSError):
        environment = dict(os.environ, DOCKER_HOST=host) if host else None
        client = docker.from_env(environment=environment, timeout=timeout_s)
        try:
            if client.ping():
                answered.set()
        finally:
            client.close()


def _listens(path: str, timeout_s: float) -> bool:
    """Say whether a program listens there; docker-py leaves a socket open, with a warning, where none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout_s)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _cluster_id() -> str:
    """Make an id as `kafka-storage.sh random-uuid` does: never one that a command would take for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode("ascii")
        if not text.startswith("-"):
            return text


def _start(
    image: Image, data_dir: Path, remembered: Remembered, port: int, environment: Mapping[str, str]
) -> RunningContainer:
    from testcontainers.core.config import testcontainers_config  # noqa: PLC0415  # belongs to an extra
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  # the same

    with _explained(image):
        container = DockerContainer(image.name, docker_client_kw={"timeout": ANSWER_S})
        client = container.get_docker_client().client
        if not testcontainers_config.ryuk_disabled:
            _have_image(client, testcontainers_config.hub_image_name_prefix + testcontainers_config.ryuk_image)
        _have_image(client, container.image)
        _have_volume(client, data_dir, remembered)
        _await_release(client, remembered.volume)
        container.with_envs(**image.environment, **environment)
        container.with_volume_mapping(remembered.volume, image.volume, "rw")
        container.with_name(remembered.volume)  # So that no second server ever opens the same data.
        container.ports[f"{image.port}/tcp"] = (LOOPBACK, port)
        check = {"test": ["CMD-SHELL", image.healthcheck], "interval": 10 * SECOND_NS, "timeout": 10 * SECOND_NS}
        container.with_kwargs(healthcheck=check, shm_size="256m")
        if image.command:
            container.with_command(list(image.command))
        ready = False
        try:
            container.start()
            _await_health(container, image)
            ready = True
        finally:
            if not ready:
                container.stop()
    return RunningContainer(image, container)


def _have_image(client: Any, name: str) -> None:  # noqa: ANN401  # a docker client, which has no types
    try:
        client.images.get(name)
    except _docker().errors.ImageNotFound:
        # docker-py waits for a download without a limit, so another thread does.
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_pull, args=(client, name, said), daemon=True).start()
        patience = ANSWER_S
        while True:
            try:
                problem = said.get(timeout=patience)
            except queue.Empty:
                problem = f"the registry says nothing for {patience} s"
            if problem == DONE:
                return
            if problem:
                raise ContainerError(f"The image {name} cannot be had: {problem}.") from None
            patience = PAUSE_S


def _pull(client: Any, name: str, said: "queue.SimpleQueue[str | None]") -> None:  # noqa: ANN401  # the same
    """Download; say None for progress, a word for a problem, DONE at the end."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  # belongs to an extra

    repository, _, tag = name.rpartition(":")
    try:
        for event in client.api.pull(repository, tag=tag, stream=True, decode=True):
            said.put(event.get("error"))
    except (_docker().errors.DockerException, HTTPError, OSError) as error:
        said.put(str(error))
    else:
        said.put(DONE)


def _have_volume(client: Any, data_dir: Path, remembered: Remembered) -> None:  # noqa: ANN401  # the same
    """Make the volume, and remove those that this folder had before it was emptied."""
    place = str(data_dir.resolve())
    for volume in client.volumes.list(filters={"label": f"{LABEL}={place}"}):
        if volume.name != remembered.volume:
            volume.remove()
    client.volumes.create(remembered.volume, labels={LABEL: place})


def _await_release(client: Any, name: str) -> None:  # noqa: ANN401  # the same
    """Wait until the container that had this data is gone, as it soon is when its parent was killed."""
    docker = _docker()
    end = time.monotonic() + REAPED_WITHIN_S
    while True:
        try:
            container = client.containers.get(name)
        except docker.errors.NotFound:
            return
        if container.status in {"created", "exited", "dead"}:
            container.remove()
            return
        if time.monotonic() > end:
            raise ContainerError(
                f"The container {name} already has this data. Stop the Tidegate that started it"
                f" (or run `docker stop {name}`), or choose another folder with TIDEGATE_DATA_DIR."
            )
        time.sleep(0.5)


def _await_health(container: Any, image: Image) -> None:  # noqa: ANN401  # the same
    """Ask by the health check itself, sooner and more often than the engine does."""
    wrapped = container.get_wrapped_container()
    end = time.monotonic() + READY_S
    while True:
        wrapped.reload()
        if wrapped.status != "running":
            raise ContainerError(
                f"{image.name} ended while it started:\n{wrapped.logs(tail=20).decode(errors='replace')}"
            )
        # docker-py waits for the end of a command without a limit of its own.
        if wrapped.exec_run(["timeout", "15", "sh", "-c", image.healthcheck]).exit_code == 0:
            return
        if time.monotonic() > end:
            raise ContainerError(f"{image.name} did not answer within {READY_S:.0f} s.")
        time.sleep(0.5)


@contextmanager
def _explained(image: Image) -> Iterator[None]:
    """Make a ContainerError that names the image of what Docker and testcontainers raise."""
    from testcontainers.core import exceptions  # noqa: PLC0415  # belongs to an extra
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  # the same

    problems = (
        _docker().errors.DockerException,
        HTTPError,
        OSError,  # what requests raises, and time-outs
        exceptions.ContainerStartException,
        exceptions.ContainerConnectException,
    )
    try:
        yield
    except problems as error:
        raise ContainerError(f"Docker could not run {image.name}: {error}") from error
