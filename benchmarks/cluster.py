"""Throughput of ``mien batch`` on Ray and on the local engine, extrapolated to a billion photos.

    python -m benchmarks.cluster [--photos 400] [--photo-bytes 115000] [--price 0.04]

Runs ``mien batch`` on copies of a 640 x 480 photo with one face: N of them, then 3 N. The
difference of the times gives the rate, and the rate gives the start-up time. First with the local
engine, with one and two processes; then on Ray with one node and one and two actors; then with two
nodes of one core each, on this machine. Last, how many empty shards one driver dispatches per
second. The estimate for a billion photos follows from these, the bytes of a photo and the price of
a core-hour.
"""

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.process import ROOT
from benchmarks.synthetic import one_face
from mien.batch.shards import Plan, RunFolder
from mien.batch.source import images_of
from mien.batch.storage import open_folder
from mien.batch.table import read_rows
from mien.batch.task import Content, Outcome, Progress

NODES = ROOT / "tests" / "cluster" / "nodes.py"
BILLION = 1_000_000_000
SHARD_SIZE = 10_000
EMPTY_SHARDS = 1000
WAYS = (
    ("local engine, 1 process", ["--engine", "local"], 1),
    ("local engine, 2 processes", ["--engine", "local"], 2),
    ("Ray, 1 actor", ["--engine", "ray"], 1),
    ("Ray, 2 actors", ["--engine", "ray"], 2),
)


@dataclass(frozen=True)
class EmptyTask:
    def __call__(self) -> Callable[[str, Content], Outcome]:
        return self.analyzed

    def analyzed(self, path: str, content: Content) -> Outcome:
        return [{"path": path}], Progress(1)

    def crashed(self, path: str) -> Outcome:
        return [{"path": path}], Progress(1, 1, failures=[path])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=400, metavar="N")
    parser.add_argument("--photo-bytes", type=int, default=115_000, metavar="BYTES")
    parser.add_argument("--price", type=float, default=0.04, help="price of a core-hour")
    options = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": f"{ROOT}/src:{ROOT}"}
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory() as name:
        few, many = fill(Path(name), options.photos), fill(Path(name), 3 * options.photos)
        print("measured" + " " * 24 + "photos/s  a core  start-up  load of others before")
        rates = [measure(name, few, many, actors, way) for name, way, actors in WAYS]
        with nodes() as address:
            on_nodes = ["--engine", "ray", "--address", address]
            measure("Ray, 2 nodes of a core", few, many, 2, on_nodes)
        measured = Measured(rates[2], empty_shards(Path(name)), *sizes(many))
    print(
        f"{measured.shards_s:.0f} empty shards a second from one driver to one actor; a photo "
        f"takes {measured.row_bytes:.0f} bytes of Parquet, {measured.list_bytes:.1f} of lists"
    )
    compute(measured, options.photo_bytes, options.price)


@dataclass(frozen=True)
class Measured:
    """What the estimate is based on.

    Attributes:
        rate: Photos per second of one actor.
        shards_s: Empty shards per second that one driver dispatches.
        row_bytes: Bytes of a photo in the results.
        list_bytes: Bytes of a photo in the lists of shards.
    """

    rate: float
    shards_s: float
    row_bytes: float
    list_bytes: float


def fill(folder: Path, count: int) -> Path:
    photos = folder / str(count)
    photos.mkdir()
    data = one_face(640, 480)
    for number in range(count):
        (photos / f"{number:06}.jpg").write_bytes(data)
    return photos


def measure(name: str, few: Path, many: Path, cores: int, way: list[str]) -> float:
    """Print and return the rate in photos per second."""
    others = psutil.cpu_percent(interval=2) / 100 * (psutil.cpu_count() or 1)
    short, long = (seconds(photos, cores, way) for photos in (few, many))
    rate = (int(many.name) - int(few.name)) / (long - short)
    began = short - int(few.name) / rate
    print(
        f"{name:30} {rate:10.1f}  {rate / cores:6.1f}  {began:6.1f} s  {others:.1f} cores",
        flush=True,
    )
    return rate


def seconds(photos: Path, cores: int, way: list[str]) -> float:
    out = results_of(photos)
    shutil.rmtree(out, ignore_errors=True)
    on_ray = ["--shard-size", "20"] if "ray" in way else []
    target = out if on_ray else out / "results.parquet"
    target.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mien", "batch", photos, "--out", target, *on_ray, *way]
    environment = {**os.environ, "MIEN_THREADS": str(cores)}
    began = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), check=False, capture_output=True, text=True, env=environment
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    return took


def results_of(photos: Path) -> Path:
    return photos.with_name(f"{photos.name}-results")


@contextmanager
def nodes() -> Iterator[str]:
    """Run a cluster of two nodes with one core each; yield its address."""
    process = subprocess.Popen(
        [sys.executable, str(NODES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if process.stdout is None:
        raise RuntimeError("no pipes")
    try:
        yield next(json.loads(line)["address"] for line in process.stdout if line.startswith("{"))
    finally:
        process.communicate()


def empty_shards(folder: Path) -> float:
    """Return how many shards without work are finished per second."""
    # Not before the environment is set.
    from mien.cluster.engine import RayEngine  # noqa: PLC0415

    run = RunFolder(open_folder(str(folder / "empty")), ".jsonl")
    images = (f"{number}.jpg" for number in range(EMPTY_SHARDS))
    plan = run.extend(Plan({}, ["path"]), images, 1)
    engine = RayEngine(None, 1, 600, print)
    with engine.started():
        results = engine.finish_shards(EmptyTask(), run, plan, range(EMPTY_SHARDS))
        next(results)
        began = time.perf_counter()
        count = sum(1 for _ in results)
    return count / (time.perf_counter() - began)


def sizes(photos: Path) -> tuple[float, float]:
    """Return the bytes per photo in the results, and in the list of paths."""
    rows = list(read_rows(results_of(photos)))
    folder = photos.with_name("one")
    run = RunFolder(open_folder(str(folder)), ".parquet")
    plan = run.extend(Plan({}, list(rows[0])), images_of(str(photos)), len(rows))
    run.write_shard(0, plan.columns, rows)
    table, listed = folder / "0000000.parquet", folder / "_plan" / "0000000.json.gz"
    return table.stat().st_size / plan.images, listed.stat().st_size / plan.images


def compute(measured: Measured, photo_bytes: int, price: float) -> None:
    rate = measured.rate
    hours = BILLION / rate / 3600
    print(f"computed for a billion photos of {photo_bytes:,} bytes, {rate:.1f} a second a core")
    show("core-hours", f"{hours:,.0f}")
    show("cost", f"{hours * price:,.0f} at {price} a core-hour")
    for cores in (100, 1000, 4000):
        took, read = hours / cores, photo_bytes * rate * cores * 8 / 1e9
        show(f"on {cores:,} cores", f"{took:,.1f} h = {took / 24:.1f} days, {read:.1f} Gbit/s read")
    show("bytes read", f"{photo_bytes * BILLION / 1e12:,.0f} TB")
    written, lists = (each * BILLION / 1e9 for each in (measured.row_bytes, measured.list_bytes))
    show("bytes written", f"{written:,.0f} GB, and {lists:,.1f} GB of lists")
    shard_s = SHARD_SIZE / rate
    show("shards", f"{BILLION // SHARD_SIZE:,} of {SHARD_SIZE:,} photos, {shard_s:.0f} s each")
    show("actors of one driver", f"{measured.shards_s * shard_s:,.0f} at most")
    show("bits of an id", f"{(BILLION - 1).bit_length()}")


def show(name: str, value: str) -> None:
    print(f"  {name:22}{value}")


if __name__ == "__main__":
    main()
