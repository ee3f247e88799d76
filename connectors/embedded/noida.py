"""`noida-db`, a broker that ships as a wheel: a stand-in for trying things where there is neither Docker nor Java.

It keeps its data in memory and writes all of it to one file shortly after each change, so it suits short trials:
killed, it can forget the last moments that it acknowledged. Every one of them has the same cluster id.
"""

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

from connectors.embedded import ports
from connectors.embedded.choice import Say
from connectors.embedded.server import Server, UnavailableError, leashed, until_ready

KIND = "noida-db"
READY_WITHIN_S = 20.0
PACING = Path(__file__).with_name("fetch_pacing.py")


def start(folder: Path, say: Say, answers: Callable[[str], Callable[[], bool]]) -> Server:
    """Start the wheel's Kafka service alone, behind the pacing that spares an idle consumer from spinning.

    Raises:
        UnavailableError: the extra `embedded` is not installed.

    """
    spec = importlib.util.find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise UnavailableError("the wheel noida-db is not installed (extra: embedded)")
    binary = Path(spec.origin).with_name("noida-db")
    if not os.access(binary, os.X_OK):
        raise UnavailableError(f"{binary} is not there or cannot be run")
    version = importlib.metadata.version("noida-db")
    say(f"{KIND} {version} is a stand-in for Kafka, for trying things only: it can lose what it confirmed")
    folder.mkdir(parents=True, exist_ok=True)
    front = folder / "pacing"
    front.mkdir(exist_ok=True)
    log = folder / "server.log"
    behind, port = ports.kept(folder, "broker", "client")
    command = [str(binary), "start", "--only", "kafka", "--host", ports.LOOPBACK, "--kafka-port", str(behind)]
    broker = leashed([*command, "--data-dir", str(folder.resolve())], folder=folder, log=log)
    until_ready(KIND, broker, answers(f"{ports.LOOPBACK}:{behind}"), READY_WITHIN_S)
    pacing = leashed(
        [sys.executable, "-I", "-S", str(PACING), str(port), str(behind)], folder=front, log=front / "server.log"
    )
    address = f"{ports.LOOPBACK}:{port}"
    try:
        until_ready(f"the pacing of {KIND}", pacing, answers(address), READY_WITHIN_S)
    except BaseException:
        broker.stop()
        raise
    how = f"the wheel {KIND} {version}, a stand-in for trying things, at {address}"
    return Server(KIND, address, version, how, folder, log, (broker, pacing))
