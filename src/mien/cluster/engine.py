"""Shards on Ray: an actor with one core and one recognizer finishes one shard after the other."""

import logging
import os
import pickle
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.exceptions import RayError

from mien.batch.shards import Plan, RunFolder, ShardWorker
from mien.batch.task import ImageTask, Progress
from mien.cluster.watchdog import stalls_reported
from mien.cores import available_cores
from mien.errors import InvalidParameterError, MienError

__all__ = ["RayEngine"]

# On machines with at most this many cores, one is reserved for Ray's own processes.
_SMALL_MACHINE = 8
# Images stay in their actor and results are files: only a line per shard passes through Ray.
_OBJECT_STORE_BYTES = 100_000_000
_CONNECT_TIMEOUT_S = 5.0
# The one thread of Ray that does not end if rows are left unread (Ray 2.60).
_LASTING_THREAD = "Prefetcher"
_THREADS_TIMEOUT_S = 5.0
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Actors on a Ray cluster, or on a Ray of this machine.

    Attributes:
        address: ``HOST:PORT`` of the cluster; None: start a Ray for this run.
        max_actors: None: as many as the cluster has cores, also those that join later; on this
            machine, one per core, minus one on machines with at most 8 cores.
        stall_after_s: Seconds without a finished shard after which ``report`` is called.
        report: Gets messages for the user.
        max_shard_size: Images per shard, at most, where the user sets no size.
    """

    address: str | None
    max_actors: int | None
    stall_after_s: float
    report: Callable[[str], None]
    max_shard_size: int = 1000

    @contextmanager
    def started(self) -> Iterator[int]:
        """Connect to the cluster or start Ray; return how many actors there will be.

        Raises:
            InvalidParameterError: The cluster does not accept the connection.
        """
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            _require_token()
            ray.init(
                "local",
                num_cpus=self.max_actors or _own_cores(),
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
        else:
            _check_reachable(self.address)
            try:
                ray.init(self.address, **quiet)
            except (ConnectionError, ValueError, RuntimeError, RayError) as error:
                raise InvalidParameterError(
                    f"--address: cannot join the cluster at {self.address}: it needs the same "
                    "versions of Ray and Python, and the same token (RAY_AUTH_TOKEN)"
                ) from error
        try:
            cores = int(ray.cluster_resources().get("CPU", 0))
            yield min(cores, self.max_actors) if self.max_actors else cores
        finally:
            ray.shutdown()

    def finish_shards(
        self, task: ImageTask, folder: RunFolder, plan: Plan, shards: Sequence[int]
    ) -> Iterator[tuple[int, Progress]]:
        """Yield number and totals of each shard as soon as it is finished, in any order.

        If an actor, a worker process or a node dies, Ray gives the shards in progress to others.

        Raises:
            OSError: A shard cannot be written.
            MienError: Ray ends the work.
        """
        _silence_ray_data()
        remaining = set(shards)

        def report_stall(seconds: float) -> None:
            self.report(f"no shard was finished for {seconds:.0f} s: {_state(remaining)}")

        results = self._dataset(task, folder, plan, shards).iter_rows()
        with (
            stalls_reported(self.stall_after_s, report_stall) as finished,
            _threads_ended(),
            closing(iter(results)) as rows,
        ):
            try:
                for row in rows:
                    result = pickle.loads(row["result"])  # noqa: S301 - our own
                    if isinstance(result, OSError):
                        raise result
                    finished()
                    remaining.discard(result[0])
                    yield result
            except RayError as error:
                raise MienError(
                    "Ray ended the work, for the reason above or in its log; continue with --resume"
                ) from error

    def _dataset(
        self, task: ImageTask, folder: RunFolder, plan: Plan, shards: Sequence[int]
    ) -> Any:
        cores = int(ray.cluster_resources().get("CPU", 0))
        first = max(1, min(self.max_actors or cores, cores, len(shards)))
        # A Ray of this machine does not grow; a cluster may.
        limit = self.max_actors or (len(shards) if self.address else cores)
        pool = ray.data.ActorPoolStrategy(
            min_size=1,
            initial_size=first,
            max_size=max(first, min(limit, len(shards))),
            # Shards take long, so one must not wait for a busy or dead actor while another is idle.
            max_tasks_in_flight_per_actor=1,
        )
        items = [{"shard": shard} for shard in shards]
        return ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Actor,
            fn_constructor_args=(task, folder, plan.columns, Path.cwd()),
            batch_size=1,
            compute=pool,
            num_cpus=1,
        )


class _Actor:
    """Ray creates it once per actor and calls it with one shard at a time."""

    def __init__(
        self, task: ImageTask, folder: RunFolder, columns: Sequence[str], directory: Path
    ) -> None:
        # Relative paths refer to the working directory of the command.
        with suppress(OSError):
            os.chdir(directory)
        self._worker = ShardWorker(task, folder, columns)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        (shard,) = batch["shard"]
        result: tuple[int, Progress] | OSError
        try:
            result = self._worker.finish(int(shard))
        except (OSError, MienError) as error:
            # Returned, not raised: Ray would add a long traceback.
            result = OSError(None, _one_line(error))
        return {"result": [pickle.dumps(result)]}


def _one_line(error: Exception) -> str:
    named = isinstance(error, OSError) and error.strerror
    return str(named or error).partition("\n")[0] or type(error).__name__


def _own_cores() -> int:
    cores = available_cores()
    return max(1, cores - 1) if cores <= _SMALL_MACHINE else cores


def _state(remaining: set[int]) -> str:
    nodes = sum(node["Alive"] for node in ray.nodes())
    cores = int(ray.cluster_resources().get("CPU", 0))
    idle = int(ray.available_resources().get("CPU", 0))
    first = ", ".join(f"{shard:07}" for shard in sorted(remaining)[:3])
    return (
        f"{len(remaining)} shards remain, from {first}; Ray has {nodes} nodes "
        f"with {cores} cores, {idle} of them idle"
    )


@contextmanager
def _threads_ended() -> Iterator[None]:
    """Wait for the threads that Ray starts in the block.

    Ray leaves them running if rows are left unread. One that uses Ray during its shutdown ends the
    process.
    """
    before = set(threading.enumerate())
    try:
        yield
    finally:
        until_s = time.monotonic() + _THREADS_TIMEOUT_S
        for thread in set(threading.enumerate()) - before:
            if thread.name != _LASTING_THREAD:
                thread.join(max(0.0, until_s - time.monotonic()))


def _check_reachable(address: str) -> None:
    """Raise InvalidParameterError if nothing listens there; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        raise InvalidParameterError(
            f"--address: expected HOST:PORT of the Ray cluster's head, got {address!r}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise InvalidParameterError(f"--address: nothing listens at {address}") from error


def _require_token() -> None:
    """Protect the Ray of this run with a new token, because its ports are open to the network.

    Ray itself would create one token for all runs, in a file.
    """
    if not any(name in os.environ for name in ("RAY_AUTH_MODE", *_TOKENS)):
        os.environ[_TOKENS[0]] = secrets.token_hex(32)


def _silence_ray_data() -> None:
    """Keep Ray's messages out of the terminal with the progress bar; they are in its log files."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.ERROR)
