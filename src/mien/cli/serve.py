"""``mien serve``: the service."""

import argparse
from collections.abc import Sequence

from mien.cli.words import add_model_options, positive
from mien.config import Settings
from mien.http.server import serve

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Serve until stopped. Raises InvalidParameterError or ArtifactError before it begins."""
    options = vars(_parser().parse_args(arguments))
    return serve(Settings.from_environment(**options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien serve",
        description="Answers over HTTP, with a page to try it.",
        epilog="Everything can be set in the environment too: --max-pixels would be "
        "MIEN_MAX_PIXELS. An option given here wins.",
    )
    parser.add_argument("--host", metavar="ADDRESS", help="default 127.0.0.1: this machine only")
    parser.add_argument("--port", type=int, metavar="N", help="default 9000")
    parser.add_argument("--workers", type=positive, metavar="N", help="processes, default 1")
    add_model_options(parser)
    return parser
