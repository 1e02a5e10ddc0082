"""Messages for people, on stderr."""

import sys

__all__ = ["printable", "say"]


def say(message: str) -> None:
    """Print a message to stderr, so that stdout holds results only."""
    print(f"mien: {printable(message)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return text without control characters: file names could move a terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
