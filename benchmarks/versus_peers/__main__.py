"""Compare ``mien`` with other systems: one run, the same photos and faces for all.

    make bench-peers [PHOTOS=FOLDER] [DATA=FOLDER] [OPTIONS="--only mien fer"]

Each peer has an environment of its own, made on the first run (some take gigabytes), and runs as a
worker process (benchmarks/peers). One that cannot be installed or fails is listed with the reason.
With all systems, the measurements are written to docs/benchmarks.json, and docs/benchmarks.md and
its plots are generated from them; with --only, a table of these systems is only printed. Takes half
an hour on two cores. ``make bench`` measures speed and memory of ``mien`` and the baseline only.

PHOTOS has photos and boxes.json (see benchmarks/recall.py), DATA fer2013.csv and fer2013new.csv.
OPTIONS="--natural FOLDER --closeups FOLDER" names photos with labels.csv, and photos that one face
fills.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.process import ROOT, commit
from benchmarks.versus_peers import measure, page, plots
from benchmarks.versus_peers.measure import MissingError, Run
from benchmarks.versus_peers.systems import prepare, systems
from mien.cores import available_cores

SECTIONS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "start": measure.start,
    "one thread": lambda run: measure.speed(run, 1),
    "all cores": lambda run: measure.speed(run, None),
    "crops": measure.crops,
    "found": measure.found,
    "natural": measure.natural,
    "closeups": measure.closeups,
}
DOCS = ROOT / "docs"
LOG = ROOT / "build" / "bench-peers.log"


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.only:
        # Results of other systems, from another run, cannot be compared.
        print(page.summary(measured(arguments, {})))
        return
    kept = arguments.results
    results = json.loads(kept.read_text()) if kept.exists() else {}
    if arguments.sections:
        results = measured(arguments, results)
    (DOCS / "benchmarks.md").write_text(page.page(results))
    plots.draw(results, DOCS / "images")
    print(page.summary(results))
    print("docs/benchmarks.md")


def measured(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Return the results with those of the chosen sections measured again.

    With all systems, each section is also written to the file of results, so that a run that is
    stopped keeps it.
    """
    everybody = systems(arguments.mien)
    results = results | {"machine": machine(), "order": [system.name for system in everybody]}
    chosen = [s for s in everybody if not arguments.only or s.name in arguments.only]
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("w") as log:
        ready, about, left_out = prepare(chosen, log)
        results |= {"systems": results.get("systems", {}) | about, "left out": left_out}
        run = Run(
            systems=ready,
            rounds=arguments.rounds,
            photos=arguments.photos,
            data=arguments.data,
            natural=arguments.natural,
            closeups=arguments.closeups,
            log=log,
        )
        for name in arguments.sections:
            results[name] = section(name, run)
            if not arguments.only:
                arguments.results.write_text(json.dumps(results, indent=1) + "\n")
    return results


def section(name: str, run: Run) -> dict[str, Any]:
    """Measure a section; if its data is missing, return what is needed."""
    print(name, file=sys.stderr)
    before, began = others_s(), time.perf_counter()
    try:
        measured = SECTIONS[name](run)
    except MissingError as missing:
        print(f"  left out: {missing}", file=sys.stderr)
        return {"missing": str(missing)}
    for system, reason in measured["failed"].items():
        print(f"  {system}: {reason} (its output: {LOG})", file=sys.stderr)
    others = (others_s() - before) / (time.perf_counter() - began)
    today = datetime.now(UTC).date().isoformat()
    others_cores = round(max(others, 0), 2)
    return measured | {"date": today, "commit": commit(), "others_cores": others_cores}


def others_s() -> float:
    """Return the processor time of all processes but this one and its ended workers, in seconds."""
    busy, own = psutil.cpu_times(), os.times()
    ours = own.user + own.system + own.children_user + own.children_system
    return float(busy.user + busy.nice + busy.system) - ours


def machine() -> dict[str, Any]:
    """Return the processor (with or without VNNI), cores, memory in GiB and operating system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(": ", 1)[1] for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor()
    if flags := [line for line in lines if line.startswith("flags")]:
        # Quantized models are faster with VNNI, and the model name does not show it.
        processor += " with VNNI" if "vnni" in flags[0] else " without VNNI"
    return {
        "processor": processor,
        "cores": available_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.versus_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [system.name for system in systems(Path())]
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="SYSTEM")
    parser.add_argument(
        "--sections",
        nargs="*",
        choices=list(SECTIONS),
        default=list(SECTIONS),
        metavar="SECTION",
        help=f"sections to measure: {', '.join(SECTIONS)}; none: only generate the page again",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of timing (default: 5)")
    parser.add_argument("--mien", type=Path, default=ROOT / ".venv" / "bin" / "python")
    shared = ROOT.parent / "shared"
    parser.add_argument("--photos", type=Path, default=shared / "photos" / "wider_dev")
    parser.add_argument("--data", type=Path, default=shared / "data" / "fer2013")
    parser.add_argument("--natural", type=Path, default=shared / "photos" / "faces_dev")
    parser.add_argument("--closeups", type=Path, default=shared / "photos" / "closeups_dev")
    parser.add_argument("--results", type=Path, default=DOCS / "benchmarks.json")
    return parser


if __name__ == "__main__":
    main()
