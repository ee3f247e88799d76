"""Draws a PNG: one plot below the other, all over the same logarithmic axis. Runs in an environment of its own.

Standard input: {"file", "title", "x_label", "x": [...], "plots": [{"label", "goal": null or [low, high], "lines":
{name: [...]}}]}.
"""

import json
import sys

import matplotlib as mpl  # type: ignore[import-not-found]  # of the environment of the plots

mpl.use("Agg")
import matplotlib.pyplot as plt  # type: ignore[import-not-found]  # after the choice of what draws

WIDTH, HEIGHT = 8.0, 3.6
HEADROOM = 1.3


def main() -> None:
    """Draw what standard input describes."""
    wanted = json.load(sys.stdin)
    plots = wanted["plots"]
    figure, axes = plt.subplots(len(plots), 1, sharex=True, squeeze=False, figsize=(WIDTH, HEIGHT * len(plots)))
    for axis, plot in zip(axes[:, 0], plots, strict=True):
        for name, values in plot["lines"].items():
            axis.plot(wanted["x"], values, marker="o", label=name)
        top = max(value for values in plot["lines"].values() for value in values)
        if plot["goal"]:
            low, high = plot["goal"]
            axis.axhspan(low, high, alpha=0.15, color="tab:green", label="goal")
            top = max(top, high)
        axis.set_ylim(0, top * HEADROOM)
        axis.set_ylabel(plot["label"])
        axis.grid(visible=True, alpha=0.3)
        axis.legend(loc="upper right", ncols=3)
    axes[-1, 0].set_xscale("log")
    axes[-1, 0].set_xlabel(wanted["x_label"])
    figure.suptitle(wanted["title"])
    figure.tight_layout()
    figure.savefig(wanted["file"], dpi=120)


if __name__ == "__main__":
    main()
