"""A run in shards: a plan that lists the images, and one file of results per finished shard."""

import gzip
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from mien.batch.local import isolated
from mien.batch.lock import locked
from mien.batch.storage import Folder, is_uri
from mien.batch.table import TABLE_FORMATS
from mien.batch.task import Content, ImageTask, Outcome, Progress, open_image
from mien.deadline import check_deadline
from mien.errors import InvalidParameterError
from mien.in_order import in_order

__all__ = ["Plan", "RunFolder", "ShardWorker"]

_PLAN_FOLDER = "_plan"
_PLAN = f"{_PLAN_FOLDER}/plan.json"
_STARTED = f"{_PLAN_FOLDER}/started"
_LOCK = f"{_PLAN_FOLDER}/lock"

# Images of a store that are read at once, ahead of the analysis.
_READING_THREADS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """Which images a run analyzes and how.

    Attributes:
        options: A run is resumed with the same options only.
        columns: Columns of the table.
        parts: (images, images per shard) of each listing of the source: the first one, then those
            that found more images. The last shard of a part may be smaller.
    """

    options: dict[str, str]
    columns: list[str]
    parts: tuple[tuple[int, int], ...] = ()

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(images for images, _ in self.parts)

    def shard_sizes(self) -> list[int]:
        """Return the number of images in each shard."""
        return [
            min(size, images - start)
            for images, size in self.parts
            for start in range(0, images, size)
        ]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run: ``0000000.parquet`` and so on, and ``_plan`` with their lists.

    All methods raise OSError. Every file is complete or absent, so a run can be killed at any time.

    Attributes:
        folder: Where the files are.
        suffix: Suffix of the shards, one of ``table.TABLE_FORMATS``.
    """

    folder: Folder
    suffix: str

    def locked(self) -> AbstractContextManager[None]:
        """Lock the run: a second one on the same disk raises InvalidParameterError.

        Object stores have no locks: two runs there write the same results twice.
        """
        place = self.folder.place
        return nullcontext() if is_uri(place) else locked(Path(place).absolute() / _LOCK)

    def plan(self) -> Plan | None:
        """Return the plan; None if there is no run in this folder."""
        if not self.folder.has(_PLAN):
            return None
        try:
            read = json.loads(self.folder.read(_PLAN))
            parts = tuple((int(images), int(size)) for images, size in read.pop("parts"))
            return Plan(**read, parts=parts)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidParameterError(
                f"{self.folder.place} is not a run of this version of mien batch: choose another "
                "--out, or delete it"
            ) from error

    def extend(self, plan: Plan, images: Iterable[str], size: int) -> Plan:
        """Add images to a plan, cut into shards of ``size``, and write it."""
        remaining, count = iter(images), 0
        for shard in itertools.count(len(plan.shard_sizes())):
            paths = list(islice(remaining, size))
            if not paths:
                break
            self.write_list(shard, paths)
            count += len(paths)
        plan = replace(plan, parts=(*plan.parts, (count, size)))
        # Written last, so that a plan never names a missing list.
        self.write_plan(plan)
        return plan

    def write_plan(self, plan: Plan) -> None:
        """Write or replace the plan."""
        self.folder.write(_PLAN, json.dumps(asdict(plan)).encode("ascii"))

    def write_list(self, shard: int, images: Sequence[str]) -> None:
        """Write which images are in a shard."""
        listed = gzip.compress(json.dumps(images).encode("ascii"), mtime=0)
        self.folder.write(_list_of(shard), listed)

    def images(self, shard: int) -> list[str]:
        """Return the images of a shard."""
        paths: list[str] = json.loads(gzip.decompress(self.folder.read(_list_of(shard))))
        return paths

    def finished(self) -> frozenset[int]:
        """Return the finished shards."""
        names = (name.removesuffix(self.suffix) for name in self.folder.names())
        return frozenset(int(name) for name in names if name.isdigit() and len(name) == 7)

    def is_finished(self, shard: int) -> bool:
        """Return whether a shard is finished."""
        return self.folder.has(self._file_of(shard))

    def mark_started(self, shard: int) -> bool:
        """Record that work on a shard starts; return whether it had started before."""
        name = f"{_STARTED}/{shard:07}"
        before = self.folder.has(name)
        if not before:
            self.folder.write(name, b"")
        return before

    def write_shard(
        self, shard: int, columns: Sequence[str], records: Iterable[Mapping[str, Any]]
    ) -> None:
        """Write the results of a shard, which finishes it."""
        file = BytesIO()
        TABLE_FORMATS[self.suffix].write(file, columns, records)
        self.folder.write(self._file_of(shard), file.getvalue())

    def records(self, shards: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Yield the records of finished shards in order."""
        for shard in shards:
            file = BytesIO(self.folder.read(self._file_of(shard)))
            yield from TABLE_FORMATS[self.suffix].read(file)

    def sweep(self) -> None:
        """Delete the traces of killed workers: unfinished files, and marks of started shards."""
        self.folder.sweep()
        self.folder.clear(_STARTED)

    def remove_shards(self) -> None:
        """Delete the results of all shards, and which were started."""
        self.folder.remove(map(self._file_of, self.finished()))
        self.sweep()

    def delete(self) -> None:
        """Delete the run, beginning with the plan: without a plan, there is no run to resume."""
        self.folder.remove([_PLAN])
        self.remove_shards()
        self.folder.clear(_PLAN_FOLDER)
        self.folder.remove_if_empty()

    def remove_if_unused(self) -> None:
        """Delete the folder if it has no more than the lock, for example without any image."""
        if self.folder.names(_PLAN_FOLDER) == [Path(_LOCK).name]:
            # Windows deletes no open file: there the lock does it when it is released.
            with suppress(PermissionError):
                self.folder.remove([_LOCK])
            self.folder.remove_if_empty(_PLAN_FOLDER)
            self.folder.remove_if_empty()

    def is_foreign(self) -> bool:
        """Return whether the folder holds anything but a run."""
        return not self.folder.has(_PLAN) and self.folder.holds_other_than(_PLAN_FOLDER)

    def _file_of(self, shard: int) -> str:
        return f"{shard:07}{self.suffix}"


class ShardWorker:
    """Analyzes one shard after the other in a worker process.

    If a shard was started before but not finished, one of its images may have ended the worker
    process. The images of such a shard are analyzed in a separate process.
    """

    def __init__(self, task: ImageTask, folder: RunFolder, columns: Sequence[str]) -> None:
        self._task, self._folder, self._columns = task, folder, columns
        self._analyze: Callable[[str, Content], Outcome] | None = None

    def finish(self, shard: int) -> tuple[int, Progress]:
        """Finish a shard; return its number and totals, empty ones if it was finished before.

        Raises:
            DeadlineExceededError: The current deadline has passed; the shard is not finished.
            OSError: The results cannot be written.
        """
        if self._folder.is_finished(shard):
            return shard, Progress()
        images, progress = self._folder.images(shard), Progress()
        started_before = self._folder.mark_started(shard)
        outcomes = self._isolated(images) if started_before else self._here(images)
        records: list[Mapping[str, Any]] = []
        with closing(outcomes):  # type: ignore[type-var]
            for rows, counted in outcomes:
                progress.merge(counted)
                records += rows
                check_deadline()
        self._folder.write_shard(shard, self._columns, records)
        return shard, progress

    def _here(self, images: list[str]) -> Iterator[Outcome]:
        if self._analyze is None:
            self._analyze = self._task()
        if not any(map(is_uri, images)):
            yield from map(self._analyze, images, map(open_image, images))
            return
        with closing(in_order(open_image, images, threads=_READING_THREADS)) as contents:
            yield from map(self._analyze, images, contents)

    def _isolated(self, images: list[str]) -> Iterator[Outcome]:
        with closing(isolated(self._task, _opened, images)) as outcomes:  # type: ignore[type-var]
            for path, outcome in zip(images, outcomes, strict=True):
                yield outcome or self._task.crashed(path)


def _opened(analyze: Callable[[str, Content], Outcome], path: str) -> Outcome:
    return analyze(path, open_image(path))


def _list_of(shard: int) -> str:
    return f"{_PLAN_FOLDER}/{shard:07}.json.gz"
