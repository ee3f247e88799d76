"""Imports point one way, and the contracts that say so notice when one does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"]

# One import for each contract: where it is put, what it says, and the contract that it breaks.
FORBIDDEN = {
    "Imports point one way": ("schemas/errors.py", "import connectors.errors"),
    "Inside the flow": ("streams/keyed.py", "import streams.agents.records"),
    "No connector imports another": ("connectors/mqtt/window.py", "import connectors.kafka.settings"),
    "Pure code touches no outside system": ("streams/detect/state.py", "import psycopg"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    wide = {**os.environ, "COLUMNS": "200"}  # one line a contract
    return subprocess.run(LINT, cwd=folder, env=wide, capture_output=True, text=True, timeout=100, check=False)  # noqa: S603  # our own words


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("schemas", "connectors", "streams"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def verdicts(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line.endswith((" KEPT", " BROKEN"))]
    return {line.partition(":")[0].removesuffix(" KEPT").removesuffix(" BROKEN"): line.split()[-1] for line in lines}


def test_imports_point_one_way() -> None:
    done = lint(ROOT)

    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(done.stdout) == dict.fromkeys(FORBIDDEN, "KEPT")


def test_each_contract_notices_a_forbidden_import(copy: Path) -> None:
    for file, line in FORBIDDEN.values():
        path = copy / file
        path.write_text(f"{path.read_text()}\n{line}\n")

    done = lint(copy)

    assert done.returncode == 1, done.stdout + done.stderr
    assert verdicts(done.stdout) == dict.fromkeys(FORBIDDEN, "BROKEN")
    for file, line in FORBIDDEN.values():
        module = file.removesuffix(".py").replace("/", ".")
        imported = ".".join(line.removeprefix("import ").split(".")[:3])
        assert f"{module} -> {imported}" in done.stdout
