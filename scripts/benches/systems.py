"""The systems that the bench `ingest` measures: Tidegate, two loops that mark the limits, and its peers.

Each is a process that reads the topic `readings` from the beginning, in a group that is new, and writes the same rows
to the same table; the variables `BENCH_…` tell it where.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connectors.embedded.choice import Say
from schemas.topics import READINGS
from scripts.benches import environments
from scripts.benches.environments import PeerError
from scripts.benches.load import Load
from scripts.benches.servers import environment as tidegate_environment
from streams.settings import Settings

PEERS = Path(__file__).with_name("peers")
SCHEMAS = Path(__file__).parent.parent.parent / "schemas" / "avro"
SCHEMA = SCHEMAS / "reading.v1.avsc"

TIDEGATE = "tidegate"
DETECTION_OFF = "tidegate, detection off"
ROW_LOOP = "bare row loop"
WIRE_LIMIT = "wire limit"
CEILING = "ceiling"
FAUST = "Faust, take and executemany"
QUIXSTREAMS = "quixstreams, PostgreSQL sink"
FASTSTREAM = "FastStream, batches and COPY"
BYTEWAX = "bytewax, COPY"


@dataclass(frozen=True, slots=True)
class System:
    """Something to be started: its command after the Python, and variables of its own."""

    name: str
    arguments: Sequence[str]
    python: Path = Path(sys.executable)
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        """Give the whole command."""
        return [str(self.python), *self.arguments]

    def variables(self, settings: Settings, load: Load, folder: Path) -> dict[str, str]:
        """Tell it where everything is."""
        return {
            **tidegate_environment(settings),
            "BENCH_KAFKA": settings.kafka.bootstrap_servers,
            "BENCH_DATABASE": settings.database.url.get_secret_value(),
            "BENCH_GROUP": settings.kafka.group("ingest"),
            "BENCH_SCHEMA": str(SCHEMA),
            "BENCH_TOPIC": READINGS.name,
            "BENCH_MESSAGES": str(load.messages),
            "BENCH_FOLDER": str(folder),
            **self.environment,
        }


@dataclass(frozen=True, slots=True)
class Peer:
    """A system of others: its file in `peers`, with the requirements beside it, and the package it is known by."""

    name: str
    package: str
    file: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    def installed(self, folder: Path, say: Say) -> tuple[System, str]:
        """Install it, if it is not; give the system, and the version of its package.

        Raises:
            PeerError: it cannot be installed here.

        """
        python = environments.made(self.package, PEERS / f"{self.file}.txt", folder / self.file, say)
        system = System(self.name, self.arguments, python, self.environment)
        return system, environments.version(python, self.package)


_WORKER = ("-m", "streams.cli.main", "worker", "--lane", "ingest")
OWN = (
    System(TIDEGATE, _WORKER),
    System(DETECTION_OFF, _WORKER, environment={"TIDEGATE_INGEST__DETECTION": "false"}),
    System(ROW_LOOP, (str(PEERS / "row_loop.py"),)),
    System(WIRE_LIMIT, (str(PEERS / "wire_limit.py"),)),
    System(CEILING, (str(PEERS / "ceiling.py"),)),
)
OTHERS = (
    Peer(FAUST, "faust-streaming", "faust_take", (str(PEERS / "faust_take.py"), "worker", "-l", "warn")),
    Peer(QUIXSTREAMS, "quixstreams", "quixstreams_sink", (str(PEERS / "quixstreams_sink.py"),)),
    Peer(FASTSTREAM, "faststream", "faststream_copy", (str(PEERS / "faststream_copy.py"),)),
    Peer(BYTEWAX, "bytewax", "bytewax_copy", ("-m", "bytewax.run", "bytewax_copy:flow"), {"PYTHONPATH": str(PEERS)}),
)


@dataclass(frozen=True, slots=True)
class Ready:
    """What can be measured here. `versions` says of each peer which it is, or why it is not measured."""

    systems: Sequence[System]
    versions: Mapping[str, str]


def ready(folder: Path, say: Say) -> Ready:
    """Install the peers that can be installed."""
    systems, versions = list(OWN), {}
    for peer in OTHERS:
        try:
            system, versions[peer.package] = peer.installed(folder, say)
        except PeerError as error:
            versions[peer.package] = f"not measured: {error}"
            say(f"{peer.name} is {versions[peer.package]}")
        else:
            systems.append(system)
    return Ready(systems, versions)
