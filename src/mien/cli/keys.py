"""``mien keys``: create an API key for the service."""

from collections.abc import Sequence

from mien.cli.console import say
from mien.cli.parser import Parser
from mien.server.keys import digest_of, new_key

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Print a new key and its hash."""
    Parser(
        prog="mien keys",
        description="Create an API key. Set MIEN_API_KEYS to its hash (several separated by "
        "commas), or add the hash to the file named by MIEN_API_KEYS_FILE, one per line. "
        "Clients send the key as Authorization: Bearer KEY. The key is not stored.",
    ).parse_args(arguments)
    key = new_key()
    print(f"key   {key}\nhash  {digest_of(key)}")
    say("set MIEN_API_KEYS to the hash; give the key to the client: it is not stored")
    return 0
