"""Processes that work on pictures, each on one at a time.

Python runs one thread of a process at a time, so threads that work on pictures hold up one another,
and the server. A process has models of its own, and what ends it, a fault in a decoder or the
system out of memory, costs the one picture that it works on.
"""

import logging
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import LifoQueue
from typing import Any

from mien.deadline import Deadline, check_deadline
from mien.errors import MienError
from mien.pipeline import Options
from mien.types import ImageResult

__all__ = ["Analyze", "EngineError", "Engines"]

# A picture's bytes, and what is asked of it, to what it shows.
Analyze = Callable[[bytes, Options], ImageResult]

# How often a deadline is looked at: it may have been brought forward.
_LOOK_S = 0.1
# Work that has not noticed its deadline after so long never will. Less than a service that ends
# waits for work that goes on.
_SPARE_S = 3.0
_END_S = 2.0

_log = logging.getLogger("mien.http")


class EngineError(Exception):
    """The work on a picture failed in its process, or the process ended before its answer."""


class Engines:
    """So many processes for as many threads. build: makes the work in each of them; must pickle."""

    def __init__(self, build: Callable[[], Analyze], count: int) -> None:
        self._all = [_Engine(build) for _ in range(count)]
        # The last one used comes first: what it needs is in the processor's cache.
        self._idle: LifoQueue[_Engine] = LifoQueue()
        for engine in self._all:
            self._idle.put(engine)

    @property
    def process_ids(self) -> list[int | None]:
        """The processes' ids, for who watches them."""
        return [engine.process_id for engine in self._all]

    def begin(self) -> None:
        """Start all processes."""
        for engine in self._all:
            engine.begin()

    def wait_until_ready(self) -> None:
        """Wait until all can work. Raises what ``build`` raises, EngineError if it is not ours."""
        for engine in self._all:
            engine.wait_until_ready()

    def analyze(self, data: bytes, options: Options, deadline: Deadline) -> ImageResult:
        """Return what a picture shows.

        Raises the errors that the process raises, EngineError for those that are not ours or if it
        ends; it is then replaced. It is ended if it does not notice the deadline.
        """
        engine = self._idle.get()
        try:
            return engine.analyze(data, options, deadline)
        finally:
            self._idle.put(engine)

    def close(self) -> None:
        """End all processes; nothing may be under way."""
        for engine in self._all:
            engine.end()


class _Engine:
    """A process, for one thread at a time; begun anew whenever it has ended."""

    _pipe: Connection
    _process: multiprocessing.process.BaseProcess

    def __init__(self, build: Callable[[], Analyze]) -> None:
        self._build = build
        self._begun = self._ready = False

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._begun else None

    def begin(self) -> None:
        # Threads and sessions do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._build), daemon=True)
        self._process.start()
        # With no other copy of that end here, the death of the process shows at ours.
        theirs.close()
        self._begun, self._ready = True, False

    def wait_until_ready(self) -> None:
        if not self._ready:
            self._received()
            self._ready = True

    def analyze(self, data: bytes, options: Options, deadline: Deadline) -> ImageResult:
        if not self._process.is_alive():
            self._replace()
        self.wait_until_ready()
        try:
            self._pipe.send((data, options, deadline.at_s))
            self._watch(deadline)
        except OSError:
            # It has ended; what is received next tells.
            pass
        answer: ImageResult = self._received()
        return answer

    def end(self) -> None:
        if self._begun:
            self._begun = False
            self._pipe.close()
            self._process.join(_END_S)
            self._process.kill()
            self._process.join()

    def _watch(self, deadline: Deadline) -> None:
        """Wait for the answer; tell the process when it is given up, and end it if it goes on."""
        while not self._pipe.poll(_LOOK_S):
            if deadline.left_s <= 0:
                self._pipe.send(None)
                if not self._pipe.poll(_SPARE_S):
                    _log.error("process %s is stuck in its work", self._process.pid)
                    self._process.kill()
                return

    def _received(self) -> Any:
        """Return what the process sends; raise it if it is an error."""
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            pid = self._process.pid
            self._replace()
            raise EngineError(f"process {pid} ended before its answer") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _replace(self) -> None:
        old = self._process
        self._pipe.close()
        # Where it is not quite dead yet.
        old.kill()
        old.join()
        self.begin()
        words = "process %s, for pictures, ended with status %s; %s takes its place"
        _log.error(words, old.pid, old.exitcode, self._process.pid)


@dataclass(slots=True)
class _Watched(Deadline):
    """Has passed, too, once the server gives the work up or ends: both show at its pipe."""

    pipe: Connection
    look_at_s: float = field(default_factory=lambda: time.monotonic() + _LOOK_S)

    @property
    def left_s(self) -> float:
        now_s = time.monotonic()
        # Each look takes as long as a small run of a model.
        if now_s > self.look_at_s:
            self.look_at_s = now_s + _LOOK_S
            if self.pipe.poll():
                self.expire()
        return self.at_s - now_s


def _work(pipe: Connection, build: Callable[[], Analyze]) -> None:
    """Answer what comes through the pipe, until its other end is closed."""
    # Whoever stops the service may signal all of its processes, and what is under way has time.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        analyze = _sent_on(build)
        if isinstance(analyze, Exception):
            pipe.send(analyze)
            return
        pipe.send(None)
        while True:
            message = pipe.recv()
            # None: what was given up is done already.
            if message is not None:
                data, options, at_s = message
                with _Watched(at_s, pipe).observed():
                    pipe.send(_sent_on(_checked, analyze, data, options))
    except (EOFError, OSError):
        return


def _checked(analyze: Analyze, data: bytes, options: Options) -> ImageResult:
    check_deadline()
    return analyze(data, options)


def _sent_on(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the work returns, or its error as one that can be sent, traceback and all."""
    try:
        return work(*arguments)
    except MienError as error:
        return error
    except Exception:  # noqa: BLE001 - whatever it is, it is for the server to log
        return EngineError(traceback.format_exc())
