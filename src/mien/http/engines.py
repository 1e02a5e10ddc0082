"""Processes that work on pictures, each on one at a time.

Python runs one thread of a process at a time, so threads that work on pictures hold up one another,
and the server. A process has models of its own, and what ends it, a fault in a decoder or the
system out of memory, costs the one picture that it works on.
"""

import logging
import multiprocessing
import os
import pickle
import signal
import socket
import struct
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from typing import Any

from mien.deadline import Deadline, check_deadline, too_late
from mien.errors import MienError
from mien.http.signals import HANGUPS
from mien.options import Options
from mien.parent import end_with_parent, signals_held
from mien.results import ImageResult

__all__ = ["Analyze", "EngineError", "Engines"]

# A picture's bytes, and what is asked of it, to what it shows.
Analyze = Callable[[bytes, Options], ImageResult]

# How often a deadline is looked at: it may have been brought forward.
_LOOK_S = 0.1
# Work that has not noticed its deadline after so long never will. Less than what a service that
# ends leaves its threads.
_SPARE_S = 3.0
_END_S = 2.0
# Whoever stops the service may signal all of its processes, and what is under way has time.
_STOPS = (signal.SIGINT, signal.SIGTERM, *HANGUPS)

_log = logging.getLogger("mien.http")


class EngineError(Exception):
    """The work on a picture failed in its process, or the process ended before its answer."""


class Engines:
    """So many processes for as many threads. build: makes the work in each of them; must pickle."""

    def __init__(self, build: Callable[[], Analyze], count: int) -> None:
        self._all = [_Engine(build) for _ in range(count)]
        self._idle = deque(self._all)
        self._free = threading.Semaphore(count)
        # Where this is not closed, too: the interpreter's end waits for all processes.
        self._dismiss = Finalize(self, _dismiss, args=(self._all,), exitpriority=0)

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
        ends, and DeadlineExceededError; it is replaced if it ends, and ended if it does not notice
        the deadline.
        """
        with self._free:
            engine = self._idle.pop()
            try:
                return engine.analyze(data, options, deadline)
            finally:
                # The last one used comes first: what it needs is in the processor's cache. One that
                # is still beginning comes last.
                (self._idle.append if engine.ready else self._idle.appendleft)(engine)

    def close(self) -> None:
        """End all processes; nothing may be under way."""
        self._dismiss()
        for engine in self._all:
            engine.end()


def _dismiss(engines: "list[_Engine]") -> None:
    for engine in engines:
        engine.dismiss()


class _Engine:
    """A process, for one thread at a time; begun anew whenever it has ended."""

    _pipe: Connection
    _process: multiprocessing.process.BaseProcess

    def __init__(self, build: Callable[[], Analyze]) -> None:
        self._build = build
        self._begun = self._asked = self.ready = False

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._begun else None

    def begin(self) -> None:
        self._begun = self._asked = self.ready = False
        # Threads and sessions do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._build), daemon=True)
        # With no other copy of that end here, the death of the process shows at ours.
        with theirs, signals_held(_STOPS):
            self._process.start()
        self._begun = True

    def wait_until_ready(self) -> None:
        if not self.ready:
            self._received()
            self.ready = True

    def analyze(self, data: bytes, options: Options, deadline: Deadline) -> ImageResult:
        try:
            return self._analyze(data, options, deadline)
        except EngineError as error:
            # The process ended without having taken the picture up: that was not why.
            if not isinstance(error.__cause__, ConnectionError):
                raise
        return self._analyze(data, options, deadline)

    def _analyze(self, data: bytes, options: Options, deadline: Deadline) -> ImageResult:
        # If an answer was asked for and never read, the next to come would be another picture's.
        if self._asked or not (self._begun and self._process.is_alive()):
            self._replace()
        while not (self.ready or self._pipe.poll(_LOOK_S)):
            if deadline.left_s <= 0:
                raise too_late()
        self.wait_until_ready()
        self._asked = True
        try:
            self._send((data, options, deadline.at_s), max(0.0, deadline.left_s) + _SPARE_S)
        except OSError as error:
            raise self._ended() from error
        self._watch(deadline)
        answer: ImageResult = self._received()
        return answer

    def dismiss(self) -> None:
        if self._begun:
            self._pipe.close()

    def end(self) -> None:
        if self._begun:
            self._begun = False
            # One that still begins would only notice when it has.
            self._process.join(_END_S if self.ready else 0)
            self._process.kill()
            self._process.join()

    def _send(self, message: Any, within_s: float) -> None:
        """Send it; one that is stopped takes no more than the pipe holds, and is then ended."""
        _give_up_sends(self._pipe, within_s)
        try:
            self._pipe.send(message)
        except BlockingIOError as error:
            self._end_stuck()
            raise too_late() from error

    def _watch(self, deadline: Deadline) -> None:
        """Wait for the answer; tell the process when it is given up, and end it if it goes on."""
        while not self._pipe.poll(_LOOK_S):
            if deadline.left_s <= 0:
                # If it has ended, what is received next tells.
                with suppress(OSError):
                    self._send(None, _SPARE_S)
                if not self._pipe.poll(_SPARE_S):
                    self._end_stuck()
                return

    def _end_stuck(self) -> None:
        _log.error("process %s is stuck in its work", self._process.pid)
        self._process.kill()
        self.ready = False

    def _received(self) -> Any:
        """Return what the process sends; raise it if it is an error."""
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        self._asked = False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ended(self) -> EngineError:
        """Begin anew, and return what to raise."""
        pid = self._process.pid
        self._replace()
        return EngineError(f"process {pid} ended before its answer")

    def _replace(self) -> None:
        """Begin anew. Raises EngineError if the system has no process to give; the next may try."""
        if self._begun:
            self._pipe.close()
            # Where it is not quite dead yet.
            self._process.kill()
            self._process.join()
            words = "process %s, for pictures, ended with status %s; another takes its place"
            _log.error(words, self._process.pid, self._process.exitcode)
        try:
            self.begin()
        except OSError as error:
            raise EngineError("no process could be begun") from error


def _give_up_sends(pipe: Connection, after_s: float) -> None:
    """Let what is sent raise BlockingIOError once the pipe has taken nothing for so long."""
    # Elsewhere pipes are no sockets, and nobody can stop a process.
    if os.name != "posix":
        return
    # In halves: what was taken within the first does not fail yet, and the rest has another.
    microseconds = max(1, round(after_s / 2 * 1e6))
    timeout = struct.pack("ll", *divmod(microseconds, 1_000_000))
    # The pipe's own, not a copy: the process may have no file left to open.
    end = socket.socket(fileno=pipe.fileno())
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
    finally:
        end.detach()


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
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    # Work that is stuck would not notice the closed pipe.
    end_with_parent()
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
    except Exception as error:  # noqa: BLE001 - whatever it is, it is for the server to log
        # A plugin's own errors may be of a kind that does not survive the way.
        with suppress(Exception):
            if isinstance(error, MienError):
                return pickle.loads(pickle.dumps(error))  # noqa: S301 - what we have made
        return EngineError(traceback.format_exc())
