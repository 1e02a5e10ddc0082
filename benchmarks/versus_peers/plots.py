"""The plots of docs/benchmarks.md."""

import statistics
from pathlib import Path

from benchmarks.svg import plt, save
from benchmarks.versus_peers.rows import OURS, Results

COLORS = {
    OURS: "#d1495b",
    "reference": "#30638e",
    "fer": "#3b8b5a",
    "deepface": "#8d6a9f",
    "human": "#c98a1b",
    "face-api": "#5f6b73",
}
TICKS_MS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000)
SMALLEST = "640 x 480, 1 face"
SECTION = "one thread"


def draw(results: Results, folder: Path) -> None:
    """Draw the plots."""
    for name, picture in {"times": _times, "accuracy": _accuracy, "size": _sizes}.items():
        figure, axes = plt.subplots(figsize=(6.4, 4.2))
        if picture(results, axes):
            save(figure, folder / f"benchmarks-{name}.svg")
        plt.close(figure)


def _times(results: Results, axes: plt.Axes) -> bool:
    """Draw the time of a photo with one face by its size, with minimum and maximum."""
    measured = results.get(SECTION, {})
    photos = {name: _megapixels(name) for name, n in measured.get("photos", {}).items() if n == 1}
    sizes = list(photos.values())
    for system, seconds in measured.get("seconds", {}).items():
        taken = [[t * 1e3 for t in seconds[name]] for name in photos]
        middle = [statistics.median(times) for times in taken]
        axes.plot(sizes, middle, marker="o", color=COLORS[system], label=system)
        low, high = [min(t) for t in taken], [max(t) for t in taken]
        axes.fill_between(sizes, low, high, color=COLORS[system], alpha=0.15)
    axes.set(xscale="log", yscale="log", xlabel="megapixels")
    axes.set_ylabel(f"ms a photo with one face, {SECTION}")
    axes.set_xticks(sizes, [f"{size:.2g}" for size in sizes])
    axes.set_yticks(TICKS_MS, map(str, TICKS_MS))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if sizes:
        axes.legend(loc="upper left")
    return bool(sizes)


def _accuracy(results: Results, axes: plt.Axes) -> bool:
    """Draw the accuracy of each system, with its 95 % interval, against its time."""
    scores = results.get("crops", {}).get("accuracy", {})
    times = results.get(SECTION, {}).get("seconds", {})
    both = [name for name in times if name in scores]
    for system in both:
        six = scores[system]["six"]
        at = statistics.median(times[system][SMALLEST]) * 1e3, six["accuracy"] * 100
        axes.errorbar(*at, yerr=six["half_interval"] * 100, fmt="o", color=COLORS[system])
        axes.annotate(system, at, xytext=(0, -26), textcoords="offset points", ha="center")
    axes.set(xscale="log", xlabel=f"ms a photo, {SMALLEST}, {SECTION}")
    axes.set_xticks(TICKS_MS, map(str, TICKS_MS))
    axes.minorticks_off()
    axes.set_ylabel("accuracy on six labels, %")
    axes.margins(0.2)
    axes.grid(alpha=0.3)
    return bool(both)


def _sizes(results: Results, axes: plt.Axes) -> bool:
    """Draw the size on disk and in memory."""
    installed = {name: of["installed_mb"] for name, of in results["systems"].items()}
    memory = results.get(SECTION, {}).get("peak_mb", {})
    names = [name for name in results["order"] if name in installed]
    for offset, (sizes, alpha) in enumerate(((installed, 1.0), (memory, 0.5))):
        there = [(at, name) for at, name in enumerate(names) if name in sizes]
        places = [at + (offset - 0.5) * 0.38 for at, _ in there]
        widths = [sizes[name] for _, name in there]
        colors = [COLORS[name] for _, name in there]
        bars = axes.barh(places, widths, 0.36, color=colors, alpha=alpha)
        axes.bar_label(bars, [f"{width:,.0f}" for width in widths], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="MB: dark, installed; light, peak memory")
    axes.margins(x=0.15)
    return bool(names)


def _megapixels(photo: str) -> float:
    width, height = photo.split(",", 1)[0].split(" x ")
    return int(width) * int(height) / 1e6
