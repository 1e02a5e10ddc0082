"""A worker process and the socket to it.

Because of the GIL, threads that analyze images slow down each other and the event loop. A worker
process has its own models. If it crashes, for example in a decoder, only its current task fails.
"""

import asyncio
import logging
import math
import multiprocessing
import os
import pickle
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mien.deadline import Deadline
from mien.parent import STOP_SIGNALS, signals_held
from mien.workers.task import Task, WorkerDiedError, picklable, result_of

__all__ = ["ProcessWorker", "close_all"]

_LENGTH_BYTES = 8
# What runs when the parent process ends may take this long to stop.
_GRACE_S = 2.0

_log = logging.getLogger("mien.workers")

_Tasks = queue.SimpleQueue[tuple[Deadline, Any, tuple[Any, ...]] | None]


class ProcessWorker:
    """A worker process.

    Both sides send pickles; those of the process are preceded by their length. The process receives
    a task, or None to cancel the current one. It sends None when it is ready and when it begins a
    task, and a tuple with the result when it has finished the task.

    Attributes:
        stop_s: Seconds that a cancelled task may go on before the process is killed. Must be less
            than the time that a service has for its shutdown.
    """

    stop_s = 3.0

    def __init__(self, build: Callable[[], Any], sockets: set[socket.socket]) -> None:
        self._build, self._sockets = build, sockets
        self._socket: socket.socket | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.process: multiprocessing.process.BaseProcess | None = None

    async def start(self) -> None:
        """Become ready. Raises what ``build`` raises, or WorkerDiedError."""
        # Threads and models do not survive a fork.
        context = multiprocessing.get_context("spawn")
        local, remote = socket.socketpair()
        self._sockets.add(local)
        self._socket = local
        with remote, signals_held(STOP_SIGNALS):
            process = context.Process(target=_work, args=(remote, self._build))
            process.start()
        self.process = process
        self._reader, self._writer = await asyncio.open_connection(sock=local)
        failure = await self._receive()
        if failure is not None:
            raise failure

    async def execute(self, task: Task) -> Any:
        """Return the result of a task or its error. Raises WorkerDiedError."""
        self._send((task.function, task.arguments, task.deadline.at_s))
        while (message := await self._receive()) is None:
            task.start()
        return message[0]

    def cancel(self) -> None:
        """Ask the running task to stop."""
        self._send(None)

    async def end(self, within_s: float) -> None:
        """End the process; kill it if it has not ended after ``within_s`` seconds."""
        if self._writer is not None:
            self._writer.transport.abort()
        elif self._socket is not None:
            self._socket.close()
        if self._socket is not None:
            self._sockets.discard(self._socket)
        process, self.process, self._socket, self._writer = self.process, None, None, None
        if process is None:
            return
        await asyncio.to_thread(process.join, within_s)
        process.kill()
        await asyncio.to_thread(process.join)
        if not within_s:
            words = "worker process %s ended with status %s"
            _log.error(words, process.pid, process.exitcode)

    def _send(self, message: Any) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        assert self._writer is not None  # noqa: S101 - for the type checker
        self._writer.write(data)

    async def _receive(self) -> Any:
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            return pickle.loads(await self._reader.readexactly(length))  # noqa: S301 - our own
        except (EOFError, OSError) as error:
            process_id = None if self.process is None else self.process.pid
            raise WorkerDiedError(f"worker process {process_id} ended before its result") from error


def close_all(sockets: set[socket.socket]) -> None:
    """Close the sockets, which ends the processes at their other ends."""
    while sockets:
        sockets.pop().close()


def _work(end: socket.socket, build: Callable[[], Any]) -> None:
    """Run the tasks that come through the socket; end when its other end is closed."""
    # A service manager or a terminal may signal all processes; running tasks get time to finish.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    tasks: _Tasks = queue.SimpleQueue()
    threading.Thread(target=_receive_tasks, args=(end, tasks), daemon=True).start()
    try:
        state = build()
    except Exception as error:  # noqa: BLE001 - raised in the parent process
        _send(end, picklable(error))
        return
    _send(end, None)
    while (task := tasks.get()) is not None:
        deadline, function, arguments = task
        _send(end, None)
        result = result_of(deadline, function, state, *arguments)
        try:
            _send(end, (result,))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            _send(end, (picklable(error),))


def _receive_tasks(end: socket.socket, tasks: _Tasks) -> None:
    """Queue tasks as they arrive; on None, let the deadline of the last one pass.

    The socket is closed when the parent process ends or stops this one. Then the last task must
    stop, too, and the process ends.
    """
    deadline = Deadline(math.inf)
    try:
        messages = end.makefile("rb")
        while True:
            message = pickle.load(messages)  # noqa: S301 - our own
            if message is None:
                deadline.expire()
            else:
                function, arguments, at_s = message
                deadline = Deadline(at_s)
                tasks.put((deadline, function, arguments))
    finally:
        deadline.expire()
        tasks.put(None)
        time.sleep(_GRACE_S)
        os._exit(1)


def _send(end: socket.socket, message: Any) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    # If the other end is closed, this process ends anyway.
    with suppress(OSError):
        end.sendall(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
