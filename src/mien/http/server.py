"""Running the service: the socket, the processes, the log, and an orderly end."""

import ipaddress
import logging
import logging.config
import math
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from mien.config import Settings
from mien.errors import ArtifactError
from mien.http.app import create_app, traces_class
from mien.http.connection import Connection, LiveConnection
from mien.http.keys import ApiKeys
from mien.http.logs import logging_config
from mien.http.metrics import FOLDER_VARIABLE
from mien.http.rates import RateLimits
from mien.http.routes.live import MAX_FRAME_BYTES
from mien.http.service import recognizer_of
from mien.http.signals import hangup_as_stop
from mien.http.supervisor import WORKER_SILENCE_S, Supervisor, worker_app

__all__ = ["serve", "socket_options"]

_BACKLOG = 2048

_log = logging.getLogger("mien.http")


def serve(settings: Settings) -> int:
    """Serve until asked to stop, answer what is under way, and return the exit status.

    0 after SIGTERM, SIGINT or SIGHUP; 1, with a sentence on stderr, if a model file is bad, the
    address can't be had or a worker does not start. Raises InvalidParameterError for an unknown
    detector or for API keys or rate limits that are none.
    """
    # The server does so too, but only once it runs.
    logging.config.dictConfig(logging_config(settings.log_format))
    # Workers would only tell the log what is wrong with them.
    RateLimits(settings)
    if settings.trace_endpoint:
        traces_class()
    if not ApiKeys.of(settings) and not _is_loopback(settings.host):
        _log.warning(
            "anybody who reaches %s may use this service: no API keys are set (mien keys)",
            settings.host,
        )
    try:
        listener = _listen(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        # A host that can't be a name at all fails before it is looked up.
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        return _refuse(f"can't listen on {settings.host} port {settings.port}: {reason}")
    with listener, hangup_as_stop():
        try:
            # Here, not in the server: there the error would come wrapped in its traceback.
            recognizer = recognizer_of(settings)
        except ArtifactError as error:
            return _refuse(error.message)
        if settings.workers > 1:
            # Each worker builds its own: sessions do not survive a change of process.
            del recognizer
            return _run_many(settings, listener)
        app = partial(create_app, settings, recognizer=recognizer)
        return _run_one(_config(settings, app), listener)


def socket_options(*, head_timeout_s: float, send_timeout_s: float) -> dict[str, Any]:
    """Return how connections are handled, whatever else happens to be installed."""
    return {
        "loop": "asyncio",
        "http": partial(Connection, head_timeout_s=head_timeout_s, send_timeout_s=send_timeout_s),
        "ws": partial(LiveConnection, send_timeout_s=send_timeout_s),
        "ws_max_size": MAX_FRAME_BYTES,
        # What is compressed may be a bomb; frames are compressed already.
        "ws_per_message_deflate": False,
    }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError if the address is taken or not this machine's."""
    family, kind, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # With the protocol named, which socket.create_server does not do: asyncio switches Nagle's
    # algorithm off only for sockets that say TCP, and it would cost 40 ms per answer.
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # A restart need not wait for old connections; elsewhere it would share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


def _config(settings: Settings, factory: Any) -> uvicorn.Config:
    options = socket_options(
        head_timeout_s=settings.head_timeout_s, send_timeout_s=settings.send_timeout_s
    )
    if settings.workers > 1:
        options["loop"] = "mien.http.turns:TakingTurns"
    return uvicorn.Config(
        factory,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        **options,
        lifespan="on",
        log_config=logging_config(settings.log_format),
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.drain_s - settings.stop_delay_s),
        timeout_worker_healthcheck=WORKER_SILENCE_S,
    )


def _run_one(config: uvicorn.Config, listener: socket.socket) -> int:
    _announce(listener)
    # The server repeats the signal once it has shut down, for whoever handled it before.
    stops = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, _already_done) for number in stops}
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except SystemExit:
        return _refuse("the service did not start")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _run_many(settings: Settings, listener: socket.socket) -> int:
    _announce(listener)
    with TemporaryDirectory(prefix="mien-metrics-") as folder:
        # Workers inherit it.
        os.environ[FOLDER_VARIABLE] = folder
        config = _config(settings, partial(worker_app, settings, Path(folder)))
        supervisor = Supervisor(
            config, sockets=[listener], drain_s=settings.drain_s, metrics_folder=Path(folder)
        )
        try:
            supervisor.run()
        finally:
            del os.environ[FOLDER_VARIABLE]
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        return _refuse("a worker did not start")
    return 0


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    _log.info("serving on http://%s:%d", shown, port)


def _already_done(_number: int, _frame: FrameType | None) -> None:
    """Take the signal that the server repeats."""


def _refuse(reason: str) -> int:
    sys.stderr.write(f"mien: {reason}\n")
    return 1
