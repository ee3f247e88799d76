"""Plots of what a bench found, drawn by matplotlib in an environment of its own: nothing else needs it."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from connectors.embedded.choice import Say
from scripts.benches import environments

PLOTS = Path(__file__).with_name("plots")
LONGEST_S = 120.0


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over the same axis, and the band that they should stay in, from low to high."""

    label: str
    lines: Mapping[str, Sequence[float]]
    goal: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """Plots below each other over one logarithmic axis."""

    title: str
    x_label: str
    x: Sequence[float]
    plots: Sequence[Plot]


def draw(picture: Picture, file: Path, folder: Path, say: Say) -> None:
    """Draw a PNG.

    Raises:
        PeerError: matplotlib cannot be installed here, or does not draw.

    """
    python = environments.made("matplotlib", PLOTS / "lines.txt", folder / "plots", say)
    file.parent.mkdir(parents=True, exist_ok=True)
    described = json.dumps({"file": str(file), **asdict(picture)})
    done = subprocess.run(  # noqa: S603  # our own script
        [python, PLOTS / "lines.py"], input=described, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    if done.returncode:
        raise environments.PeerError(f"the plot could not be drawn: {done.stderr.strip().splitlines()[-1:]}")
