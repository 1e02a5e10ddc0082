r"""File names as text, for tables and JSON.

On POSIX a file name is bytes. Each byte that is not UTF-8 is written as ``\x`` and two hexadecimal
digits, so that every reader of CSV, JSON and Parquet accepts the text. The same holds for a
carriage return, which some versions of Python's csv module write without quotes. A backslash that
precedes an ``x`` and two such digits in a name is written as ``\x5c``, so the text is unambiguous.
"""

import os
import re

__all__ = ["path_from_text", "path_to_text"]

_AMBIGUOUS = re.compile(r"\\(?=x[0-9a-f]{2})")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


def path_to_text(path: str) -> str:
    """Return a path as text that is valid UTF-8; ``path_from_text`` is the inverse."""
    if os.sep == "\\":
        return path.encode("utf-8", "backslashreplace").decode()
    escaped = _AMBIGUOUS.sub(r"\\x5c", path).replace("\r", r"\x0d")
    return escaped.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def path_from_text(text: str) -> str:
    """Return the path for a text of ``path_to_text``, in the form that Python's functions take."""
    if os.sep == "\\":
        return text
    return os.fsdecode(_ESCAPED.sub(lambda m: bytes.fromhex(m[1].decode()), text.encode()))
