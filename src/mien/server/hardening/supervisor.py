"""Server processes that share a socket; one that dies is replaced."""

import logging
import signal
import socket
import time
from pathlib import Path

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from mien.parent import HANGUPS

__all__ = ["SILENCE_S", "Supervisor"]

# A server process that does not respond for this many seconds is replaced. Imports on a busy
# machine may take longer than uvicorn's 5 seconds.
SILENCE_S = 15
# After ``drain_s``, longer than a server process takes to end its workers.
_SPARE_S = 7.0

_log = logging.getLogger("mien.server")


class Supervisor(Multiprocess):
    """uvicorn's supervisor, which also logs dead processes and closes the port on shutdown."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        sockets: list[socket.socket],
        drain_s: float,
        metrics_folder: Path,
    ) -> None:
        """Prepare the processes; ``run`` starts them.

        Args:
            config: uvicorn's configuration of each server process.
            sockets: The listening socket.
            drain_s: Seconds within which a process ends after the stop signal.
            metrics_folder: Where the processes keep their metrics.
        """
        hangups = {number: signal.getsignal(number) for number in HANGUPS}
        super().__init__(config, sockets=sockets)
        # uvicorn's handler would restart the processes one by one.
        for number, handler in hangups.items():
            signal.signal(number, handler)
        self._drain_s = drain_s
        self._metrics_folder = metrics_folder

    # On SIGTTIN and SIGTTOU, uvicorn starts or stops a process. Terminals send them to background
    # jobs, so they are ignored.
    handle_ttin = handle_ttou = None  # type: ignore[assignment]

    def keep_subprocess_alive(self) -> None:
        stopping, before = self.should_exit.is_set(), list(self.processes)
        for worker in self.processes:
            # While the parent holds this end open, the health check notices a dead process only
            # at its timeout.
            worker.child_conn.close()
        super().keep_subprocess_alive()
        if self.should_exit.is_set() and not stopping:
            self._retry_start()
        for old, new in zip(before, self.processes, strict=True):
            if new is not old:
                words = "server process %s ended with status %s; %s takes its place"
                _log.error(words, old.pid, old.exitcode, new.pid)
                # Its gauges end with it; its counters stay.
                mark_process_dead(old.pid, str(self._metrics_folder))  # type: ignore[no-untyped-call]

    def _retry_start(self) -> None:
        """Restart a process that failed to start, if another one serves."""
        if any(worker.process.is_alive() and worker.is_ready() for worker in self.processes):
            self.should_exit.clear()
            # If none serves, all of them fail for the same reason.
            for place, worker in enumerate(self.processes):
                if worker.exitcode == STARTUP_FAILURE:
                    self.processes[place] = Process(self.config, self.sockets)
                    self.processes[place].start()

    def terminate_all(self) -> None:
        # Connections queued at the parent's socket alone would never be served.
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def join_all(self) -> None:
        # uvicorn does not detect processes that hang while they stop.
        until_s = time.monotonic() + self._drain_s + _SPARE_S
        for worker in self.processes:
            worker.process.join(max(0.0, until_s - time.monotonic()))
            if worker.process.is_alive():
                _log.error("server process %s does not stop and is killed", worker.pid)
                worker.process.kill()
            worker.join()
