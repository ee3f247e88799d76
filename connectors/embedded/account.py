"""Whom a server runs as when we are root and it refuses to be: an unprivileged account, and a place it can reach."""

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from connectors.embedded import lock
from connectors.embedded.server import UnavailableError

ACCOUNT = "nobody"
# Only root comes here. Data that would lie below a private directory, such as /root, lie here instead.
ELSEWHERE = Path("/var/lib/tidegate")


@dataclass(frozen=True)
class Account:
    """An unprivileged account."""

    name: str
    uid: int
    gid: int

    def reaches(self, path: Path) -> bool:
        """Say whether this account can enter (or run) `path`."""
        tested = subprocess.run(  # noqa: S603 - a fixed script, the path is its argument
            ["/bin/sh", "-c", 'test -r "$1" && test -x "$1"', "sh", str(path)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            check=False,
        )
        return tested.returncode == 0

    def owns(self, path: Path) -> None:
        """Make this account the owner of one file or directory."""
        os.chown(path, self.uid, self.gid)


def unprivileged() -> Account | None:
    """Give the account to use instead of root; None where we are an ordinary user already.

    Raises:
        UnavailableError: we are root and there is no such account.

    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise UnavailableError(f"it refuses to run as root, and there is no account {ACCOUNT!r}") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def reachable(folder: Path, account: Account) -> Path:
    """Give `folder`, or, where the account cannot enter it, a folder elsewhere that belongs to it alone.

    The two are tied by a token in both: when `folder` was emptied, what lies elsewhere is emptied too.
    """
    if account.reaches(folder):
        return folder
    ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
    _sweep()
    place = ELSEWHERE / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    token = folder / "token"
    if not token.exists():
        token.write_text(secrets.token_hex(16), encoding="ascii")
    if _read(place / "token") != token.read_text(encoding="ascii"):
        _remove(place, wait_s=10.0)
    place.mkdir(mode=0o755, exist_ok=True)
    (place / "owner").write_text(str(folder.resolve()), encoding="utf-8")
    (place / "token").write_text(token.read_text(encoding="ascii"), encoding="ascii")
    return place


def _sweep() -> None:
    """Remove what was kept for folders that are gone; what a server still works in is left to a later sweep."""
    for place in ELSEWHERE.iterdir():
        owner = _read(place / "owner")
        if owner and not Path(owner).exists():
            with contextlib.suppress(lock.InUseError):
                _remove(place, wait_s=0.0)


def _remove(place: Path, wait_s: float) -> None:
    """Remove a folder, unless a server still works in it: then the attempt to lock it says so."""
    if not place.exists():
        return
    held = lock.acquire(place / "in-use", wait_s=wait_s)
    try:
        shutil.rmtree(place)
    finally:
        lock.release(held)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
