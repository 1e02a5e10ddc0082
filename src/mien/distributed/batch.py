"""Shards of a long list of photos, each on any core of any machine that Ray has."""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.exceptions import RayError

from mien.batch.job import Job, Tally
from mien.batch.shards import Plan, ShardDone, Shards, ShardWorker
from mien.cores import available_cores
from mien.distributed.watchdog import Watchdog
from mien.errors import InvalidParameterError, MienError

__all__ = ["connected", "own_cores", "work"]

# Up to so many cores one is left to Ray's own processes and whoever else uses the machine.
_SMALL_MACHINE = 8
# Results are files and photos stay in their actor: what passes through Ray is a line a shard.
_OBJECT_STORE_BYTES = 100_000_000
_ANSWER_S = 5.0
# Of Ray's threads this one alone waits for ever where rows are left (Ray 2.60).
_LASTING_THREAD = "Prefetcher"
_THREADS_END_S = 5.0
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def own_cores() -> int:
    """Return how many actors a Ray on this machine alone should have."""
    cores = available_cores()
    return max(1, cores - 1) if cores <= _SMALL_MACHINE else cores


@contextmanager
def connected(address: str | None, actors: int | None) -> Iterator[int]:
    """Join the cluster at an address, or start a Ray of one's own; gives how many cores it has.

    actors: as many at most. Raises InvalidParameterError if the cluster can't be joined.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        cores = actors or own_cores()
        _keep_others_out()
        ray.init(
            "local",
            num_cpus=cores,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            **quiet,
        )
    else:
        _check_answers(address)
        try:
            ray.init(address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, RayError) as error:
            raise InvalidParameterError(
                f"--address: the cluster at {address} can't be joined; has it this version of Ray "
                "and Python, and is the token right?"
            ) from error
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        yield min(cores, actors) if actors else cores
    finally:
        ray.shutdown()


def work(
    job: Job,
    shards: Shards,
    plan: Plan,
    missing: Sequence[int],
    *,
    cores: int,
    most: int | None,
    stall_after_s: float,
    tell: Callable[[str], None],
) -> Iterator[ShardDone]:
    """Yield shards as they get done, in any order, on the Ray that was joined.

    cores: actors to begin with, of one core each; most: none more, however many cores come.
    stall_after_s: after so long without a shard ``tell`` is called with words for people.
    An actor, worker process or node that dies costs the shards that it had begun, which others
    then do. Raises MienError if a shard can't be written.
    """
    _be_quiet()
    begin = max(1, min(cores, len(missing)))
    pool = ray.data.ActorPoolStrategy(
        min_size=1,
        initial_size=begin,
        max_size=max(begin, min(most or len(missing), len(missing))),
        # A shard is long: none should wait for a busy actor, or a dead one, while another idles.
        max_tasks_in_flight_per_actor=1,
    )
    items = [{"shard": shard} for shard in missing]
    done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _Actor,
        fn_constructor_args=(job, shards, plan.columns, Path.cwd()),
        batch_size=1,
        compute=pool,
        num_cpus=1,
    )
    left = set(missing)

    def bark(seconds: float) -> None:
        tell(f"no shard was done for {seconds:.0f} s; {_what_is_there(left)}")

    with (
        Watchdog(stall_after_s, bark) as watchdog,
        _threads_ended(),
        closing(iter(done.iter_rows())) as rows,  # type: ignore[type-var]
    ):
        try:
            for row in rows:
                shard = _shard_done(row)
                watchdog.feed()
                left.discard(shard.shard)
                yield shard
        except RayError as error:
            words = "Ray gave up; its reason is above, or in its log; go on with --resume"
            raise MienError(words) from error


@contextmanager
def _threads_ended() -> Iterator[None]:
    """Wait for the threads that Ray begins meanwhile, which it leaves behind where rows are left.

    One that is busy with Ray when that is shut down ends the process, whatever else is to do.
    """
    before = set(threading.enumerate())
    try:
        yield
    finally:
        until_s = time.monotonic() + _THREADS_END_S
        for thread in set(threading.enumerate()) - before:
            if thread.name != _LASTING_THREAD:
                thread.join(max(0.0, until_s - time.monotonic()))


class _Actor:
    """Holds one pipeline; Ray calls it with one shard at a time."""

    def __init__(self, job: Job, shards: Shards, columns: Sequence[str], folder: Path) -> None:
        # Where the command was given, so that paths mean what they meant there.
        with suppress(OSError):
            os.chdir(folder)
        self._work = ShardWorker(job, shards, columns)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        (shard,) = batch["shard"]
        try:
            return {"told": [_as_text(self._work(int(shard)))]}
        except (OSError, MienError) as error:
            # Told, not raised: Ray would add its own pages to it.
            return {"told": [json.dumps({"error": _one_line(error)})]}


def _as_text(done: ShardDone) -> str:
    tally = done.tally
    counts = None if tally is None else {name: getattr(tally, name) for name in Tally.__slots__}
    return json.dumps({"shard": done.shard, "tally": counts})


def _shard_done(row: Mapping[str, Any]) -> ShardDone:
    """Read what an actor told. Raises MienError if that is an error."""
    told = json.loads(row["told"])
    if "error" in told:
        raise MienError(f"a shard can't be done: {told['error']}; go on with --resume")
    tally = told["tally"]
    if tally is not None:
        tally = Tally(**{**tally, "emotions": Counter(tally["emotions"])})
    return ShardDone(told["shard"], tally)


def _one_line(error: Exception) -> str:
    named = isinstance(error, OSError) and error.strerror
    return str(named or error).partition("\n")[0] or type(error).__name__


def _what_is_there(left: set[int]) -> str:
    nodes = sum(node["Alive"] for node in ray.nodes())
    cores = int(ray.cluster_resources().get("CPU", 0))
    idle = int(ray.available_resources().get("CPU", 0))
    first = ", ".join(f"{shard:07}" for shard in sorted(left)[:3])
    return (
        f"{len(left)} shards are left, from {first}; Ray has {nodes} nodes "
        f"with {cores} cores, {idle} of them idle"
    )


def _check_answers(address: str) -> None:
    """Raise InvalidParameterError if nobody is at HOST:PORT; Ray would look for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        raise InvalidParameterError(f"--address is HOST:PORT of Ray's head, not {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise InvalidParameterError(f"--address: nobody answers at {address}") from error


def _keep_others_out() -> None:
    """Have a Ray of one's own take orders from this run alone; its ports are open to the network.

    It asks for a token by itself, but makes one for all runs and keeps it in a file.
    """
    if not any(name in os.environ for name in ("RAY_AUTH_MODE", *_TOKENS)):
        os.environ[_TOKENS[0]] = secrets.token_hex(32)


def _be_quiet() -> None:
    """Leave the terminal to the progress of photos; Ray's own words are in its log files."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.ERROR)
