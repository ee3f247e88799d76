"""What the tests of the embedded servers share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an unprivileged account reaches too: pytest's own is private."""
    made = Path(tempfile.mkdtemp(prefix="tidegate-embedded-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)
