"""``mien serve``: the service."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from mien.cli.options import add_model_options, positive, whole
from mien.config import Settings
from mien.http.server import serve

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Serve until stopped. Raises InvalidParameterError or ArtifactError before it begins."""
    options = vars(_parser().parse_args(arguments))
    print_config = options.pop("print_config")
    settings = Settings.from_environment(**options)
    if print_config:
        print("\n".join(_lines(settings, Settings.origins(**options))))
        return 0
    return serve(settings)


def _lines(settings: Settings, origins: Mapping[str, str]) -> Iterator[str]:
    yield f"{'setting':18} {'value':20} {'from':24} default"
    for field in fields(Settings):
        value, origin = getattr(settings, field.name), origins[field.name]
        shown = _as_shown(field.name, value)
        yield f"{field.name:18} {shown:20} {origin:24} {_as_set(field.default)}"


def _as_shown(name: str, value: object) -> str:
    """Return a value for a table that others may see."""
    text = _as_set(value)
    # Hashes are no secret, but too long.
    if name == "api_keys" and value:
        return f"{text.count(',') + 1} given"
    # A URL's password, and its user's name.
    return re.sub(r"(?<=://).*(?=@)", "***", text)


def _as_set(value: object) -> str:
    """Return a value as its variable would have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien serve",
        description="Answers over HTTP, with a page to try it.",
        epilog="Everything can be set in the environment, such as MIEN_MAX_PIXELS; --print-config "
        "lists all. An option given here wins.",
    )
    parser.add_argument("--host", metavar="ADDRESS", help="default 127.0.0.1: this machine only")
    parser.add_argument("--port", type=whole, metavar="N", help="default 9000")
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="servers behind one port, default 1"
    )
    add_model_options(parser)
    parser.add_argument(
        "--print-config", action="store_true", help="show every setting, whence it comes, and stop"
    )
    return parser
