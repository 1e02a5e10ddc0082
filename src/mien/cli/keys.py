"""``mien keys``: make an API key for the service."""

import argparse
from collections.abc import Sequence

from mien.cli.console import say
from mien.http.keys import digest_of, new_key

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Print a new key and its hash."""
    argparse.ArgumentParser(
        prog="mien keys",
        description="Makes an API key. Its hash goes into MIEN_API_KEYS (several separated by "
        "commas) or, one a line, into the file that MIEN_API_KEYS_FILE names; the key itself is "
        "for the caller, who sends it as Authorization: Bearer KEY. It is kept nowhere.",
    ).parse_args(arguments)
    key = new_key()
    print(f"key   {key}\nhash  {digest_of(key)}")
    say("the hash goes into MIEN_API_KEYS; the key goes to the caller and is kept nowhere")
    return 0
