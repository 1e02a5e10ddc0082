"""Logging: one line per event, as JSON or text."""

import logging
import sys
import time
from typing import Any

import structlog
from structlog.typing import Processor

__all__ = ["logging_config"]


class _OncePerSecond(logging.Filter):
    """Limits asyncio's report that no connection can be accepted to one per second."""

    _next_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if "out of system resource" not in record.getMessage():
            return True
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + 1
        return True


def logging_config(log_format: str) -> dict[str, Any]:
    """Return the argument of ``logging.config.dictConfig`` for a log format of the settings.

    Each line has ``timestamp`` (ISO 8601, UTC), ``level``, ``logger``, ``event`` and its
    fields; an error also its traceback, without the values of variables, which may be pixels.
    """
    terminal = sys.stderr.isatty()
    text = log_format == "text" or (log_format == "auto" and terminal)
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=terminal)
        if text
        else structlog.processors.JSONRenderer()
    )
    common = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    line = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": common,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": line},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "filters": {"once per second": {"()": _OncePerSecond}},
        "loggers": {"mien": {"level": "INFO"}, "asyncio": {"filters": ["once per second"]}},
    }
