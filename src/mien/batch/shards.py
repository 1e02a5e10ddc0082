"""A long list of photos cut into shards, each of which is done when its table is there."""

import gzip
import itertools
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from mien.batch.job import Done, Fetched, Job, PhotoWorker, Tally, fetch
from mien.batch.journal import lock
from mien.batch.local import Processes, WorkerDiedError
from mien.batch.storage import Folder, is_uri
from mien.batch.table import write_table
from mien.errors import InvalidParameterError
from mien.recognizer import in_order
from mien.results import Cell

__all__ = ["Plan", "ShardDone", "ShardWorker", "Shards"]

_PLAN = "_plan/plan.json"
_TRIES = "_plan/tries"
_LOCK = "_plan/lock"

# What is fetched while one photo is worked on: object stores answer late, but many at once.
_READERS = 8
# A shard that failed so often may hold a photo that kills its process; Ray itself retries for ever.
_CAREFUL_AFTER = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How a list was cut. photos: all of them; size: photos in each shard but the last."""

    columns: list[str]
    asked: dict[str, Any]
    photos: int
    size: int

    @property
    def shards(self) -> int:
        """How many there are."""
        return math.ceil(self.photos / self.size)

    def photos_in(self, shards: Iterable[int]) -> int:
        """Return how many photos are in some shards."""
        return sum(min(self.size, self.photos - shard * self.size) for shard in shards)


@dataclass(frozen=True, slots=True)
class ShardDone:
    """What came of a shard; None if it had been done before, by somebody who could not tell."""

    shard: int
    tally: Tally | None


@dataclass(frozen=True, slots=True)
class Shards:
    """The folder of one run: ``0000000.parquet`` and so on, and under ``_plan`` what each is of.

    suffix: of the tables, ``.parquet`` or ``.jsonl``. All methods raise OSError.
    """

    folder: Folder
    suffix: str

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second run on the same disk out. Raises InvalidParameterError in it.

        Object stores know no locks: two runs there do the same work twice, with the same result.
        """
        if is_uri(self.folder.place):
            yield
            return
        path = Path(self.folder.place) / _LOCK
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            lock(file, path.parents[1])
            yield

    def plan(self) -> Plan | None:
        """Return the plan of a run that has begun; None if none has."""
        if not self.folder.has(_PLAN):
            return None
        try:
            return Plan(**json.loads(self.folder.read(_PLAN)))
        except (ValueError, TypeError) as error:
            raise InvalidParameterError(f"{self.folder.place} is no run of mien batch") from error

    def begin(
        self,
        photos: Iterable[str],
        size: int,
        columns: Sequence[str],
        asked: Mapping[str, Any],
    ) -> Plan:
        """Cut a list into shards of ``size`` photos, and write down how."""
        waiting, count = iter(photos), 0
        for shard in itertools.count():
            paths = list(islice(waiting, size))
            if not paths:
                break
            listed = gzip.compress(json.dumps(paths).encode("ascii"), mtime=0)
            self.folder.write(_list_of(shard), listed)
            count += len(paths)
        plan = Plan(list(columns), dict(asked), count, size)
        # Last: a plan that is there is whole.
        self.folder.write(_PLAN, json.dumps(asdict(plan)).encode("ascii"))
        return plan

    def photos(self, shard: int) -> list[str]:
        """Return the photos of a shard."""
        paths: list[str] = json.loads(gzip.decompress(self.folder.read(_list_of(shard))))
        return paths

    def done(self) -> frozenset[int]:
        """Return the shards that are done."""
        names = (name.removesuffix(self.suffix) for name in self.folder.names())
        return frozenset(int(name) for name in names if name.isdigit())

    def is_done(self, shard: int) -> bool:
        """Say whether a shard is done."""
        return self.folder.has(self._table_of(shard))

    def finish(self, shard: int, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Write a shard's table: whole or not at all."""
        # All rows first: they take long, and whoever is killed meanwhile leaves no temporary file.
        rows = list(rows)
        with tempfile.TemporaryDirectory(prefix="mien-") as name:
            table = Path(name) / self._table_of(shard)
            write_table(table, self.suffix, columns, rows)
            self.folder.write(table.name, table.read_bytes())

    def rows(self, plan: Plan) -> Iterator[list[Cell]]:
        """Yield all rows, in the order of the photos; the tables are JSON lines."""
        for shard in range(plan.shards):
            for line in self.folder.read(self._table_of(shard)).splitlines():
                yield list(json.loads(line).values())

    def try_of(self, shard: int) -> int:
        """Note that somebody begins with a shard, and return how many have so far."""
        folder = f"{_TRIES}/{shard:07}"
        self.folder.write(f"{folder}/{uuid4().hex}", b"")
        return len(self.folder.names(folder))

    def sweep(self) -> None:
        """Delete what killed processes left, once all is done."""
        self.folder.sweep()
        self.folder.clear(_TRIES)

    def delete(self) -> None:
        """Delete all, the plan first: without it nobody takes what is left for a run."""
        self.folder.clear("_plan")
        self.folder.clear()

    def _table_of(self, shard: int) -> str:
        return f"{shard:07}{self.suffix}"


class ShardWorker:
    """Works on one shard after the other; what it does twice it does the same way.

    Where a shard has killed its worker before, each photo is worked on in a process beside this
    one, so that the photo that kills gets a row that says so, and the others theirs.
    """

    def __init__(self, job: Job, shards: Shards, columns: Sequence[str]) -> None:
        self._job, self._shards, self._columns = job, shards, columns
        self._worker: PhotoWorker | None = None

    def __call__(self, shard: int) -> ShardDone:
        """Write a shard's table. Raises OSError."""
        if self._shards.is_done(shard):
            return ShardDone(shard, None)
        photos, tally = self._shards.photos(shard), Tally()
        careful = self._shards.try_of(shard) > _CAREFUL_AFTER
        self._shards.finish(shard, self._columns, self._rows(photos, careful, tally))
        return ShardDone(shard, tally)

    def _rows(self, photos: list[str], careful: bool, tally: Tally) -> Iterator[Sequence[Cell]]:
        for done in self._apart(photos) if careful else self._here(photos):
            tally.add(done)
            yield from done.rows

    def _here(self, photos: list[str]) -> Iterator[Done]:
        if self._worker is None:
            self._worker = self._job()
        fetched: Iterator[Fetched] = in_order(fetch, photos, threads=_READERS)
        with closing(fetched):  # type: ignore[type-var]
            yield from map(self._worker.work, fetched)

    def _apart(self, photos: list[str]) -> Iterator[Done]:
        build: Callable[[], Callable[[str], Done]] = self._job
        for path, answer in Processes(build, 1).in_order(photos):
            yield self._job.died(path) if isinstance(answer, WorkerDiedError) else answer


def _list_of(shard: int) -> str:
    return f"_plan/{shard:07}.json.gz"
