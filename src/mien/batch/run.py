"""A run from source to table: plan, analyze what is missing, join the shards."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from mien.batch.finished import images_in, import_table, plan_of_table, write_record
from mien.batch.local import in_processes
from mien.batch.shards import Plan, RunFolder, ShardWorker
from mien.batch.source import OnSkip, images_of
from mien.batch.storage import is_uri, open_folder
from mien.batch.table import FOLDER_SUFFIX, is_failure, write_table
from mien.batch.task import ImageTask, Progress
from mien.errors import InvalidParameterError
from mien.files import complete_file

__all__ = ["Engine", "LocalEngine", "Run", "table_file"]

# With several small shards per core, no core waits long for the last shard.
_SHARDS_PER_CORE = 8
# Fewest images per result file, unless more files are needed to use all cores.
_MIN_FILE_SIZE = 32
# Each shard is one or two files.
_MAX_SHARDS = 100_000
# Comparing more images with those of an earlier run would take too much memory.
_MAX_COMPARED = 10_000_000


class Engine(Protocol):
    """Processes that finish shards."""

    @property
    def max_shard_size(self) -> int:
        """Images per shard, at most, where the user sets no size."""
        ...

    def started(self) -> AbstractContextManager[int]:
        """Start what the processes need, and return how many cores they will use."""
        ...

    def finish_shards(
        self, task: ImageTask, folder: RunFolder, plan: Plan, shards: Sequence[int]
    ) -> Iterator[tuple[int, Progress]]:
        """Yield number and totals of each shard as soon as it is finished, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Processes on this machine."""

    processes: int
    max_shard_size: int

    @contextmanager
    def started(self) -> Iterator[int]:
        """Return the number of processes; they start with the shards."""
        yield self.processes

    def finish_shards(
        self, task: ImageTask, folder: RunFolder, plan: Plan, shards: Sequence[int]
    ) -> Iterator[tuple[int, Progress]]:
        build = partial(ShardWorker, task, folder, plan.columns)
        processes = min(self.processes, len(shards))
        with closing(in_processes(build, _finished, shards, processes)) as results:  # type: ignore[type-var]
            for result in results:
                if isinstance(result, OSError):
                    raise result
                yield result


@dataclass(slots=True, kw_only=True)
class Run:
    """A run as the user asked for it, and its totals.

    Attributes:
        source: See ``images_of``.
        out: The table's file, or a folder or URI that gets one Parquet file per shard.
        resume: Continue an earlier run, and analyze images that were added since.
        task: What to do with each image.
        columns: Columns of the table.
        options: A run is resumed with the same options only.
        defaults: Values of options that an earlier run did not record. Others are not compared.
        shard_size: Images per shard; None: chosen by the number of images and cores.
        byte_order_mark: Begin the table with a byte order mark.
        on_skip: Called with the path of a file or folder that is skipped, and the reason.
        progress: Totals of this run.
        finished_before: Images that earlier runs had finished.
        failed_before: How many of them failed; 0 if there are too many images to compare.
        cores: Cores that the engine used.
    """

    source: str
    out: str
    resume: bool
    task: ImageTask
    columns: tuple[str, ...]
    options: dict[str, str]
    defaults: dict[str, str]
    shard_size: int | None
    byte_order_mark: bool
    on_skip: OnSkip
    progress: Progress = field(default_factory=Progress)
    finished_before: int = 0
    failed_before: int = 0
    cores: int = 1

    @property
    def table(self) -> Path | None:
        """The table's file; None if the shards are the table."""
        return table_file(self.out)

    def execute(self, engine: Engine) -> bool:
        """Analyze what is missing and write the table.

        Args:
            engine: Analyzes the shards.

        Returns:
            False if there was nothing to do.

        Raises:
            InvalidParameterError: The source, the table or an earlier run do not allow it.
            OSError: The results cannot be written.
        """
        folder = self._run_folder()
        with folder.locked():
            try:
                return self._execute(folder, engine)
            finally:
                folder.remove_if_unused()

    def _run_folder(self) -> RunFolder:
        """Return the run's folder, where results can be written."""
        if self.table and not self.table.parent.is_dir():
            raise InvalidParameterError(f"--out: no such folder: {self.table.parent}")
        try:
            if self.table:
                return RunFolder(open_folder(f"{self.out}.shards"), ".jsonl")
            folder = RunFolder(open_folder(self.out), FOLDER_SUFFIX)
            if folder.is_foreign():
                raise InvalidParameterError(
                    f"--out: {self.out} exists and holds other files: choose another folder"
                )
        except OSError as error:
            raise InvalidParameterError(f"--out: cannot write to {self.out}") from error
        return folder

    def _execute(self, folder: RunFolder, engine: Engine) -> bool:
        plan = folder.plan()
        # The run folder of a finished table is deleted, so the table replaces it.
        earlier = self.table if self.table and not plan and self.table.exists() else None
        if plan or earlier:
            self._check_resumable(folder, plan)
        if earlier:
            plan = plan_of_table(earlier)
        added = self._added(plan, self._known(folder, plan, earlier)) if plan else []
        if plan and not added and (earlier or self._is_complete_folder(folder, plan)):
            return False
        images = len(added) if plan else self._count()
        with engine.started() as cores:
            self.cores = max(1, cores)
            least = 1 if self.table else _MIN_FILE_SIZE
            size = self.shard_size or _fair_size(images, self.cores, least, engine.max_shard_size)
            if plan is None or earlier:
                # Left behind by a run that was killed while it deleted them.
                folder.remove_shards()
            if plan is None:
                plan = Plan(self.options, list(self.columns))
                plan = folder.extend(plan, self._images(self.on_skip), size)
            elif earlier:
                plan = import_table(earlier, plan, folder)
            if added:
                plan = folder.extend(plan, added, size)
            self._analyze(folder, plan, engine)
        if self.table:
            self._join(folder, plan, self.table)
        else:
            folder.sweep()
        return True

    def _check_resumable(self, folder: RunFolder, plan: Plan | None) -> None:
        """Raise InvalidParameterError unless resume is requested with the same options."""
        if not self.resume:
            if plan and not self._is_complete_folder(folder, plan):
                raise InvalidParameterError(
                    f"an unfinished run is in {folder.folder.place}: continue it with --resume, "
                    "or delete that folder"
                )
            raise InvalidParameterError(
                f"{self.out} exists: analyze images that were added since with --resume, choose "
                "another --out, or delete it"
            )
        plan = plan or plan_of_table(Path(self.out))
        changed = [
            f"{name} was {earlier}, now {value}"
            for name, value in self.options.items()
            if (earlier := plan.options.get(name, self.defaults.get(name, value))) != value
        ]
        if changed or plan.columns != list(self.columns):
            raise InvalidParameterError(
                f"{self.out}: the earlier run had other options ({'; '.join(changed)}): use the "
                "same ones, or choose another --out"
            )

    def _is_complete_folder(self, folder: RunFolder, plan: Plan) -> bool:
        return not self.table and len(folder.finished()) == len(plan.shard_sizes())

    def _known(self, folder: RunFolder, plan: Plan, earlier: Path | None) -> Counter[bytes]:
        """Return the images of an earlier run, and how often: a manifest may repeat one.

        Also count those that failed.
        """
        known = Counter[bytes]()
        if earlier:
            for path, records in images_in(earlier):
                known[_key(path)] += 1
                self.failed_before += is_failure(records[0])
        elif plan.images <= _MAX_COMPARED:
            shards = range(len(plan.shard_sizes()))
            known.update(_key(path) for shard in shards for path in folder.images(shard))
            self.failed_before = sum(map(is_failure, folder.records(folder.finished())))
        return known

    def _added(self, plan: Plan, known: Counter[bytes]) -> list[str]:
        """Return the images of the source that earlier runs do not have."""
        self.finished_before = known.total()
        if plan.images > _MAX_COMPARED:
            self.on_skip(self.source, "more than 10 million images: not searched for new ones")
            return []
        added = []
        for path in self._images(self.on_skip):
            key = _key(path)
            if known[key]:
                known[key] -= 1
            else:
                added.append(path)
        return added

    def _count(self) -> int:
        """Return the number of images, before anything is started for them."""
        count = sum(1 for _ in self._images())
        if not count:
            raise InvalidParameterError(f"{self.source}: no image was found")
        return count

    def _images(self, on_skip: OnSkip | None = None) -> Iterator[str]:
        """Yield the images of the source, without files of this run: a glob may match them."""

        def skip(path: str, reason: str) -> None:
            if on_skip and not _is_own_file(path, self.out):
                on_skip(path, reason)

        paths = images_of(self.source, skip)
        return (path for path in paths if not _is_own_file(path, self.out))

    def _analyze(self, folder: RunFolder, plan: Plan, engine: Engine) -> None:
        sizes = plan.shard_sizes()
        missing = sorted(set(range(len(sizes))) - folder.finished())
        self.finished_before = plan.images - sum(sizes[shard] for shard in missing)
        if not missing:
            return
        results = engine.finish_shards(self.task, folder, plan, missing)
        bar = tqdm(
            total=plan.images,
            initial=self.finished_before,
            unit=" images",
            file=sys.stderr,
            disable=None,
        )
        # Closed here, before the engine ends.
        with closing(results), bar:  # type: ignore[type-var]
            for shard, progress in results:
                self.progress.merge(progress)
                bar.set_postfix(failed=self.progress.failed, refresh=False)
                bar.update(sizes[shard])

    def _join(self, folder: RunFolder, plan: Plan, table: Path) -> None:
        """Write the table, completely or not at all, and delete the shards."""
        with complete_file(table) as unfinished:
            write_table(
                unfinished,
                table.suffix.lower(),
                plan.columns,
                folder.records(range(len(plan.shard_sizes()))),
                byte_order_mark=self.byte_order_mark,
            )
            write_record(table, plan)
        folder.delete()


def _finished(worker: ShardWorker, shard: int) -> tuple[int, Progress] | OSError:
    try:
        return worker.finish(shard)
    except OSError as error:
        return error


def table_file(out: str) -> Path | None:
    """Return the file of a table; None if it is a folder or URI that gets several files."""
    return None if is_uri(out) or not Path(out).suffix else Path(out)


def _is_own_file(path: str, out: str) -> bool:
    """Return whether a file is the table of a run, finished or not, its record or a shard."""
    name = Path(out).name
    # Most paths do not contain the name. For them, skip the calls to the file system.
    if name not in path:
        return False
    if is_uri(out) or is_uri(path):
        return path.startswith(f"{out.rstrip('/')}/")
    own = Path(out).parent.resolve() / name
    place = Path(path).parent.resolve() / Path(path).name
    beside = [own.with_name(name + end) for end in (".run.json", ".shards", ".unfinished")]
    return any(map(place.is_relative_to, [own, *beside] if own.suffix else [own]))


def _fair_size(images: int, cores: int, least: int, most: int) -> int:
    """Return the number of images per shard.

    Every core gets a shard if there are enough images, even if shards then have fewer than
    ``least`` images.
    """
    fair = max(images // (cores * _SHARDS_PER_CORE), min(least, images // cores))
    return max(1, min(fair, most), images // _MAX_SHARDS)


def _key(path: str) -> bytes:
    """Return a short key of a path, however long it is."""
    return blake2b(path.encode("utf-8", "surrogateescape"), digest_size=12).digest()
