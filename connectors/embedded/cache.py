"""Where downloaded or copied programs are kept between runs, and how they get there whole or not at all."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def user_cache() -> Path:
    """Give this user's cache directory by the platform's convention; it may not exist yet."""
    try:
        home = Path.home()
    except RuntimeError:  # an account that the system does not list, as some container platforms give out
        return Path(tempfile.gettempdir()) / f"tidegate-{os.geteuid()}"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "tidegate"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "tidegate"


def made_whole(target: Path, make: Callable[[Path], None]) -> Path:
    """Give `target`, a directory; where it is missing, `make` fills a temporary one that is then renamed to it.

    Two processes that do this at once both succeed: the one that renames second throws its own away.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        make(making)
        making.chmod(0o755)
        try:
            making.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target
