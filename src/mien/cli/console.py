"""Messages to users on stderr, and the handling of a closed stdout."""

import os
import sys

__all__ = ["BROKEN_PIPE", "drop_output", "printable", "say"]

# Exit status if the reader of stdout has closed it: 128 + SIGPIPE, as shells report it.
BROKEN_PIPE = 141


def say(message: str) -> None:
    """Print a message to stderr, so that stdout holds results only."""
    print(f"mien: {printable(message)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return text without control characters: file names could move a terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def drop_output() -> None:
    """Discard further output to stdout: Python flushes it once more on exit."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
