"""What the figures were measured on."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import psutil

GIB = 1024**3
# What the figures of every bench depend on.
PACKAGES = ("tidegate", "confluent-kafka", "fastavro", "psycopg", "pyarrow", "numpy")


def machine() -> dict[str, object]:
    """Describe this machine: processor, cores, memory and system; nothing that names it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / GIB),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Give the versions of Python and of packages of this environment; of one that is not there: `not installed`."""
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    """Give the processor's name; Linux alone has it in a file, and `platform` does not look there."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
