"""matplotlib, set up so that the same figures give the same SVG files."""

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

__all__ = ["plt", "save"]

mpl.rcParams["svg.hashsalt"] = "mien"


def save(figure: plt.Figure, path: Path) -> None:
    """Write a figure."""
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
