"""The two ways in which ``mien batch`` gets through its photos: processes here, or Ray."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mien.batch.job import Tally
from mien.batch.journal import Journal, key_of
from mien.batch.local import Processes, WorkerDiedError
from mien.batch.shards import Plan, Shards
from mien.batch.source import photos_of
from mien.batch.storage import Folder
from mien.batch.table import write_table
from mien.cli.console import say
from mien.cli.work import PhotoJob
from mien.cores import available_cores
from mien.errors import InvalidParameterError

__all__ = ["MAX_SHARD_SIZE", "Run", "locally", "on_ray"]

# Enough shards that no core waits long for the last, few enough to be files.
_SHARDS_PER_CORE = 8
MAX_SHARD_SIZE = 1000


@dataclass(slots=True, kw_only=True)
class Run:
    """What was asked for, and what came of it.

    table: the file to write; None for a folder of tables, at ``out``.
    asked: what must be the same for a run to go on; threads: cores to use, None for all.
    address, shard_size, stall_after_s: for Ray.
    skipped: photos that an earlier run had done.
    """

    source: str
    out: str
    table: Path | None
    resume: bool
    job: PhotoJob
    columns: tuple[str, ...]
    asked: dict[str, str]
    threads: int | None
    address: str | None
    shard_size: int | None
    stall_after_s: int
    tally: Tally = field(default_factory=Tally)
    skipped: int = 0
    cores: int = 1

    def count(self) -> int:
        """Return the number of photos. Raises InvalidParameterError if there is none."""
        total = sum(1 for _ in photos_of(self.source))
        if not total:
            raise self.without_photo()
        return total

    def without_photo(self) -> InvalidParameterError:
        """Return the error of a source that names no photo."""
        return InvalidParameterError(f"{self.source}: there is no photo")

    def nothing_to_do(self, *, finished: bool, begun: str | None) -> bool:
        """Say whether the results are complete.

        begun: where those of a run that ended early are.
        Raises InvalidParameterError if there are any, and going on was not asked for.
        """
        if self.resume:
            return finished and not begun
        if begun:
            words = f"an unfinished run is there: go on with --resume, or delete {begun}"
            raise InvalidParameterError(words)
        if finished:
            raise InvalidParameterError(f"{self.out} exists; choose another name or delete it")
        return False


def locally(run: Run) -> bool:
    """Work with processes on this machine; return False if there was nothing to do."""
    out = Path(run.out)
    journal = Journal(out)
    begun = str(journal.path) if journal.path.exists() else None
    if run.nothing_to_do(finished=out.exists(), begun=begun):
        return False
    # Before there is a journal, which holds a later run to what this one was asked for.
    photos = run.count()
    with journal.opened(run.columns, run.asked):
        run.cores = run.threads or available_cores()
        _work(run, journal, photos)
        journal.finish(run.columns)
    return True


def _work(run: Run, journal: Journal, photos: int) -> None:
    finished = journal.done()

    def missing() -> Iterator[str]:
        for path in photos_of(run.source):
            key = key_of(path)
            if finished[key]:
                finished[key] -= 1
                run.skipped += 1
                bar.update()
            else:
                yield path

    with _bar(photos) as bar:
        answers = Processes(run.job, run.cores).in_order(missing())
        with closing(answers):  # type: ignore[type-var]
            for path, answer in answers:
                done = run.job.died(path) if isinstance(answer, WorkerDiedError) else answer
                journal.add(path, done.rows)
                run.tally.add(done)
                bar.set_postfix(failed=run.tally.failed, refresh=False)
                bar.update()


def on_ray(run: Run) -> bool:
    """Work on Ray, shard by shard; return False if there was nothing to do."""
    # Before all that needs a part of the same extra, and would name another.
    cluster = _cluster()
    shards = Shards(
        Folder(f"{run.out}.shards" if run.table else run.out),
        # Lines are what any kind of table is made from.
        ".jsonl" if run.table else ".parquet",
    )
    if _all_there(run, shards):
        return False
    # What is wrong with the source is told before a Ray is started for it.
    photos = 0 if run.shard_size or shards.plan() else run.count()
    with shards.locked():
        with cluster.connected(run.address, run.threads) as cores:
            run.cores = max(1, cores)
            plan = shards.plan() or _new_plan(run, shards, photos)
            _work_on_shards(run, shards, plan, cluster)
        if run.table:
            _join(shards, plan, run.table)
        else:
            shards.sweep()
    return True


def _join(shards: Shards, plan: Plan, table: Path) -> None:
    """Make one table of all shards: complete or not there at all."""
    unfinished = table.with_name(table.name + ".unfinished")
    write_table(unfinished, table.suffix.lower(), plan.columns, shards.rows(plan))
    unfinished.replace(table)
    shards.delete()


def _cluster() -> Any:
    try:
        return import_module("mien.distributed.batch")
    except ImportError as error:
        raise InvalidParameterError("the engine ray needs: pip install 'mien[cluster]'") from error


def _all_there(run: Run, shards: Shards) -> bool:
    """Say whether all is done. Raises InvalidParameterError if this run may not go on."""
    place = shards.folder.place
    try:
        plan, foreign = shards.plan(), bool(shards.folder.names())
        done = len(shards.done())
    except OSError as error:
        raise InvalidParameterError(f"--out: can't write to {place}") from error
    if plan is None:
        if foreign and not run.table:
            raise InvalidParameterError(f"{run.out} exists; choose another name or delete it")
        return run.nothing_to_do(finished=bool(run.table and run.table.exists()), begun=None)
    if (plan.columns, plan.asked) != (list(run.columns), run.asked):
        raise InvalidParameterError(
            f"{place} is of a run with other options: use those, or delete it"
        )
    whole = done == plan.shards and not run.table
    return run.nothing_to_do(finished=whole, begun=None if whole else place)


def _new_plan(run: Run, shards: Shards, photos: int) -> Plan:
    fair = max(1, min(photos // (run.cores * _SHARDS_PER_CORE), MAX_SHARD_SIZE))
    plan = shards.begin(photos_of(run.source), run.shard_size or fair, run.columns, run.asked)
    if not plan.photos:
        shards.delete()
        raise run.without_photo()
    return plan


def _work_on_shards(run: Run, shards: Shards, plan: Plan, cluster: Any) -> None:
    missing = sorted(set(range(plan.shards)) - shards.done())
    run.skipped = plan.photos - plan.photos_in(missing)
    done = cluster.work(
        run.job,
        shards,
        plan,
        missing,
        cores=run.cores,
        # A cluster may grow; a Ray of one's own does not.
        most=run.threads or (None if run.address else run.cores),
        stall_after_s=run.stall_after_s,
        tell=say,
    )
    # Closed here, not with the error that ends it: before Ray is.
    with closing(done), _bar(plan.photos) as bar:
        bar.update(run.skipped)
        for shard in done:
            run.tally.merge(shard.tally or Tally())
            bar.set_postfix(failed=run.tally.failed, refresh=False)
            bar.update(plan.photos_in([shard.shard]))


def _bar(total: int) -> "tqdm[None]":
    return tqdm(total=total, unit=" photos", file=sys.stderr, disable=None)
