"""How the log is written: one line an event, as JSON for machines or as text for people."""

import sys
from typing import Any

import structlog
from structlog.typing import Processor

__all__ = ["logging_config"]


def logging_config(log_format: str) -> dict[str, Any]:
    """Return what ``logging.config.dictConfig`` takes. log_format: as in Settings.

    Each line has ``timestamp`` (ISO 8601, UTC), ``level``, ``logger``, ``event`` and what the event
    tells; an error its traceback, without the values of variables, which may be pixels.
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
        "loggers": {"mien": {"level": "INFO"}},
    }
