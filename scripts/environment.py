"""Makes `.venv` at the project's root what the lock file says; does nothing when it is already.

Runs with any Python from 3.11 on and nothing but its standard library. Several at once wait for each other.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
STAMP = VENV / "made-from"
# A registry that does not answer is given up within seconds.
PATIENCE = ["--timeout", "15", "--retries", "2"]


def wanted() -> str:
    """Say what the environment has to be made from: the lock, how the project is installed, and this Python."""
    parts = [LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def pip(*arguments: str) -> None:
    """Run the environment's pip; end with its word when it fails."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", *arguments]
    done = subprocess.run(command, check=False, cwd=ROOT, env={**os.environ, "PIP_DEFAULT_TIMEOUT": "15"})  # noqa: S603
    if done.returncode:
        sys.exit("The packages could not be installed: see pip's message above. Is a package registry reachable?")


def main() -> None:
    """Make the environment, if it is not there or not the right one."""
    VENV.mkdir(exist_ok=True)
    with (VENV / "making").open("w", encoding="ascii") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if STAMP.exists() and STAMP.read_text(encoding="ascii") == wanted():
            return
        STAMP.unlink(missing_ok=True)
        print("Making .venv from the lock file (once; about a minute) …", file=sys.stderr, flush=True)
        try:
            venv.create(VENV, with_pip=True, symlinks=True, upgrade_deps=False)
        except subprocess.CalledProcessError:
            sys.exit("Python's venv does not work here. On Debian and Ubuntu: apt-get install python3-venv")
        pip(*PATIENCE, "--require-hashes", "-r", str(LOCK))
        pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        STAMP.write_text(wanted(), encoding="ascii")


if __name__ == "__main__":
    main()
