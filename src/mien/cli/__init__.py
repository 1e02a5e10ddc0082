"""The command ``mien``: results go to stdout, messages to stderr.

docs/command-line.md lists the exit statuses. Each command is a module that is imported only when it
runs, so that it starts without the dependencies of the others.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Protocol, cast

from mien._version import __version__
from mien.cli.console import BROKEN_PIPE, drop_output, say
from mien.cli.parser import Parser
from mien.errors import MienError

__all__ = ["main"]

_COMMANDS = {
    "analyze": "analyze the faces in a few photos",
    "batch": "analyze thousands of photos into one table",
    "keys": "create an API key for the service",
    "models": "list, show or verify the included models",
    "report": "make an HTML page about a table of mien batch",
    "serve": "run the HTTP service, with a page to try it",
    "video": "track faces in a video or camera stream",
}

_INTERRUPTED = 130


class _Command(Protocol):
    def run(self, arguments: Sequence[str]) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        argv: Arguments without the program's name. None: those of this process.
    """
    _replace_closed_streams()
    given = sys.argv[1:] if argv is None else list(argv)
    # Each command parses its own arguments: argparse would remove ``--`` from them.
    end = next((i + 1 for i, each in enumerate(given) if not each.startswith("-")), len(given))
    try:
        parser = _parser()
        chosen = parser.parse_args(given[:end])
        if chosen.command is None:
            parser.print_help()
            status = 0
        else:
            _write_utf8()
            command = cast("_Command", import_module(f"{__name__}.{chosen.command}"))
            status = command.run(given[end:])
        print(end="", flush=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except MienError as error:
        say(error.message)
        # The base class's code means an internal failure, not wrong usage.
        return 1 if error.code == MienError.code else 2
    except BrokenPipeError:
        drop_output()
        return BROKEN_PIPE
    except OSError as error:
        # For example, stdout is a file on a full disk.
        drop_output()
        reason = error.strerror or "input or output failed"
        say(f"{error.filename}: {reason}" if error.filename else reason)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _parser() -> Parser:
    listing = "\n".join(f"  {name:<9} {does}" for name, does in _COMMANDS.items())
    parser = Parser(
        prog="mien",
        usage="mien [-h] [--version] COMMAND ...",
        description="Finds faces in photos and classifies their emotions.",
        epilog=f"commands:\n{listing}\n\nmien COMMAND --help shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mien {__version__}")
    parser.add_argument(
        "command", nargs="?", choices=list(_COMMANDS), metavar="COMMAND", help=argparse.SUPPRESS
    )
    return parser


def _replace_closed_streams() -> None:
    """Open closed standard streams on the null device: ``print`` uses stdout for a closed stderr.

    They keep their file descriptors, also in child processes.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor == number:
                os.set_inheritable(number, True)
            else:
                os.dup2(descriptor, number)
                os.close(descriptor)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 -- stays open
            setattr(sys, name, stream)


def _write_utf8() -> None:
    """Write results as the same bytes on every system, whatever its encoding."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
