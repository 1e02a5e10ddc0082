"""What ``mien-train`` tells people; results go to standard output."""

import sys

__all__ = ["say"]


def say(message: str) -> None:
    """Print a message on standard error."""
    print(f"mien-train: {message}", file=sys.stderr)
