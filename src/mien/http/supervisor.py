"""Several processes behind one socket: one that dies is replaced, and none outlives its parent."""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from mien.config import Settings
from mien.http.app import create_app
from mien.http.signals import HANGUPS

__all__ = ["WORKER_SILENCE_S", "Supervisor", "worker_app"]

# A worker that is silent for so long is replaced. Importing and loading a large model on a busy
# machine may hold it up for longer than the server's own 5 seconds, and would begin anew for ever.
WORKER_SILENCE_S = 15
# After ``drain_s``, more than a worker leaves its own threads.
_SPARE_S = 7.0

_log = logging.getLogger("mien.http")


class Supervisor(Multiprocess):
    """The server's own, with its deaths on record and its door shut in time.

    drain_s: within which a worker that is to stop does; metrics_folder: where the workers keep
    their counts.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        sockets: list[socket.socket],
        drain_s: float,
        metrics_folder: Path,
    ) -> None:
        hangups = {number: signal.getsignal(number) for number in HANGUPS}
        super().__init__(config, sockets=sockets)
        # The server's own would restart the workers, one by one, and hear of nothing meanwhile.
        for number, handler in hangups.items():
            signal.signal(number, handler)
        self._drain_s = drain_s
        self._metrics_folder = metrics_folder

    # They would start and stop workers: a terminal sends these to whoever reads or writes unasked.
    handle_ttin = handle_ttou = None  # type: ignore[assignment]

    def keep_subprocess_alive(self) -> None:
        stopping, before = self.should_exit.is_set(), list(self.processes)
        super().keep_subprocess_alive()
        if self.should_exit.is_set() and not stopping:
            self._go_on()
        for old, new in zip(before, self.processes, strict=True):
            if new is not old:
                words = "worker %s ended with status %s; %s takes its place"
                _log.error(words, old.pid, old.exitcode, new.pid)
                # What it was doing ended with it; what it had counted still holds.
                mark_process_dead(old.pid, str(self._metrics_folder))  # type: ignore[no-untyped-call]

    def _go_on(self) -> None:
        """Try once more to start a worker that did not start, while another one serves."""
        if any(worker.process.is_alive() and worker.is_ready() for worker in self.processes):
            self.should_exit.clear()
            # Were it the same that is wrong with all of them, none would serve.
            for place, worker in enumerate(self.processes):
                if worker.exitcode == STARTUP_FAILURE:
                    self.processes[place] = Process(self.config, self.sockets)
                    self.processes[place].start()

    def terminate_all(self) -> None:
        # The workers have theirs; whoever connected to this one alone would wait for nobody.
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def join_all(self) -> None:
        # Now that all are to stop, nobody looks for workers that hang.
        until_s = time.monotonic() + self._drain_s + _SPARE_S
        for worker in self.processes:
            worker.process.join(max(0.0, until_s - time.monotonic()))
            if worker.process.is_alive():
                _log.error("worker %s does not stop, and is ended", worker.pid)
                worker.process.kill()
            worker.join()


def worker_app(settings: Settings, metrics_folder: Path) -> FastAPI:
    """Return the application of a worker, which stops once its parent has died."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        # The parent has it, too, and tells when to stop.
        for number in HANGUPS:
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    return create_app(settings, metrics_folder=metrics_folder)


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    # Otherwise it would hold the port, and nobody would replace it.
    os.kill(os.getpid(), signal.SIGTERM)
