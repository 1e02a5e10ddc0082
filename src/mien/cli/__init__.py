"""The command ``mien``: results to stdout, words for people to stderr.

Exit status: 0 done, 1 some inputs failed, 2 wrong usage, 130 interrupted. Each command is a module
that is imported only when it is asked for, so none waits for what another needs.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Protocol, cast

from mien._version import __version__
from mien.cli.console import say
from mien.errors import MienError

__all__ = ["main"]

_COMMANDS = {
    "analyze": "read the emotions of the faces in photos",
    "batch": "the same for thousands of photos, into a table",
    "keys": "make an API key for the service",
    "models": "list, show or verify the models that come along",
    "report": "one page about a table: counts, confidence, examples, errors",
    "serve": "answer over HTTP, with a page to try it",
    "video": "follow the faces of a video or camera over time",
}

_INTERRUPTED = 130
# What a shell reports of any command whose reader has gone: 128 + SIGPIPE.
_READER_GONE = 141


class _Command(Protocol):
    def run(self, arguments: Sequence[str]) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; argv: without the program's name."""
    try:
        parser = _parser()
        chosen = parser.parse_args(argv)
        if chosen.command is None:
            parser.error("a command is missing")
        _write_utf8()
        command = cast("_Command", import_module(f"{__name__}.{chosen.command}"))
        status = command.run(chosen.arguments)
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except MienError as error:
        say(error.message)
        return 2
    except BrokenPipeError:
        _drop_output()
        return _READER_GONE
    except OSError as error:
        # Such as a full disk behind stdout.
        _drop_output()
        say(error.strerror or "input or output failed")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:<9} {does}" for name, does in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="mien",
        usage="mien [-h] [--version] COMMAND ...",
        description="Reads emotions off the faces in photos.",
        epilog=f"commands:\n{listing}\n\nmien COMMAND --help tells what a command takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mien {__version__}")
    parser.add_argument(
        "command", nargs="?", choices=list(_COMMANDS), metavar="COMMAND", help=argparse.SUPPRESS
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _write_utf8() -> None:
    """Let results be the same bytes everywhere, and file names that are not text survive."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def _drop_output() -> None:
    # Python flushes once more on its way out, which would fail again, aloud.
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
