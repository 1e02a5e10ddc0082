"""Runs the service: the socket, the processes, the log, and an orderly shutdown."""

import ipaddress
import logging
import logging.config
import math
import os
import shutil
import signal
import socket
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from mien.parent import HANGUPS, when_parent_ends
from mien.server.app import create_app, traces_class
from mien.server.hardening.connection import HttpConnection, LiveConnection
from mien.server.hardening.signals import hangup_as_stop
from mien.server.hardening.supervisor import SILENCE_S, Supervisor
from mien.server.keys import ApiKeys
from mien.server.logs import logging_config
from mien.server.metrics import FOLDER_VARIABLE
from mien.server.rates import RateLimits
from mien.server.routes.live import MAX_FRAME_BYTES
from mien.settings import Settings

__all__ = ["serve", "socket_options"]

_BACKLOG = 2048
# Of the files of one server process, which it maps into memory: a full disk would kill it.
_METRICS_BYTES = 1 << 20

_log = logging.getLogger("mien.server")


def serve(settings: Settings) -> int:
    """Serve until a stop signal, finish the requests in progress, and return the exit status.

    0 after SIGTERM, SIGINT or SIGHUP. 1 if the service does not start, such as when the port cannot
    be used or a model cannot be loaded; the reason is on stderr or in the log.

    Raises:
        InvalidParameterError: The API keys, rate limits or traces of the settings are invalid.
    """
    # uvicorn does so too, but only once it runs.
    logging.config.dictConfig(logging_config(settings.log_format))
    # Here, for a message instead of a traceback in the log.
    RateLimits(settings)
    if settings.trace_endpoint:
        traces_class()
    if not ApiKeys.from_settings(settings) and not _is_loopback(settings.host):
        _log.warning(
            "everyone who can reach %s can use this service: no API keys are set (mien keys)",
            settings.host,
        )
    try:
        listener = _listen(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        # An invalid host name fails before it is looked up.
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        _log.error("cannot listen on %s port %d: %s", settings.host, settings.port, reason)
        return 1
    with listener, hangup_as_stop():
        if settings.workers > 1:
            return _run_many(settings, listener)
        return _run_one(settings, listener)


def socket_options(
    *, head_timeout_s: float, send_timeout_s: float, keep_alive_s: float
) -> dict[str, Any]:
    """Return how uvicorn handles connections, whatever else is installed."""
    return {
        "loop": "asyncio",
        "http": partial(
            HttpConnection, head_timeout_s=head_timeout_s, send_timeout_s=send_timeout_s
        ),
        "timeout_keep_alive": math.ceil(keep_alive_s),
        "ws": partial(LiveConnection, send_timeout_s=send_timeout_s),
        "ws_max_size": MAX_FRAME_BYTES,
        # Images are compressed already, and compressed frames may be bombs.
        "ws_per_message_deflate": False,
    }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError if the address is in use or not of this machine."""
    family, kind, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # With the protocol named, which socket.create_server does not do: asyncio switches Nagle's
    # algorithm off only for sockets that say TCP, and it would cost 40 ms per response.
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # A restart need not wait for old connections. On Windows, this would share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _config(settings: Settings, app: Any) -> uvicorn.Config:
    options = socket_options(
        head_timeout_s=settings.head_timeout_s,
        send_timeout_s=settings.send_timeout_s,
        keep_alive_s=settings.keep_alive_s,
    )
    if settings.workers > 1:
        options["loop"] = "mien.server.hardening.accept:FairAcceptLoop"
    return uvicorn.Config(
        app,
        factory=settings.workers > 1,
        workers=settings.workers,
        **options,
        lifespan="on",
        log_config=logging_config(settings.log_format),
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.drain_s - settings.stop_delay_s),
        timeout_worker_healthcheck=SILENCE_S,
    )


def _run_one(settings: Settings, listener: socket.socket) -> int:
    app = create_app(settings, address=_address(listener))
    # uvicorn raises the signal again once it has shut down, for earlier handlers.
    stops = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, _ignore) for number in stops}
    try:
        uvicorn.Server(_config(settings, app)).run(sockets=[listener])
    except SystemExit:
        # The log says why.
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _run_many(settings: Settings, listener: socket.socket) -> int:
    with TemporaryDirectory(prefix="mien-metrics-") as folder:
        if shutil.disk_usage(folder).free < settings.workers * _METRICS_BYTES:
            _log.error("there is no space for metrics in %s: set TMPDIR", Path(folder).parent)
            return 1
        # The server processes inherit it.
        os.environ[FOLDER_VARIABLE] = folder
        process_app = partial(_process_app, settings, Path(folder), _address(listener))
        config = _config(settings, process_app)
        supervisor = Supervisor(
            config, sockets=[listener], drain_s=settings.drain_s, metrics_folder=Path(folder)
        )
        try:
            supervisor.run()
        finally:
            del os.environ[FOLDER_VARIABLE]
    return int(any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes))


def _process_app(settings: Settings, metrics_folder: Path, address: str) -> FastAPI:
    # The parent also gets the signal and decides when to stop.
    for number in HANGUPS:
        signal.signal(number, signal.SIG_IGN)
    # Otherwise this process would keep the port.
    when_parent_ends(partial(os.kill, os.getpid(), signal.SIGTERM))
    return create_app(settings, metrics_folder=metrics_folder, address=address)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Ignore the signal when uvicorn raises it again."""
