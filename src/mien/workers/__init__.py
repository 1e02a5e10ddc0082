"""A pool of worker processes, awaited from an event loop."""

from mien.workers.pool import WorkerPool
from mien.workers.task import Outcome, TaskError, WorkerDiedError

__all__ = ["Outcome", "TaskError", "WorkerDiedError", "WorkerPool"]
