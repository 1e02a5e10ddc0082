"""``mien serve``: the service."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from mien._version import __version__
from mien.cli.console import printable
from mien.cli.options import add_model_options
from mien.cli.parser import Parser, positive, whole
from mien.server.run import serve
from mien.settings import SettingRow, load_settings, table

__all__ = ["run"]

_WIDTH = 88


def run(arguments: Sequence[str]) -> int:
    """Serve until stopped. Raises InvalidParameterError before it begins."""
    options = vars(_parser().parse_args(arguments))
    print_config = options.pop("print_config")
    settings = load_settings(flags=True, **options)
    if print_config:
        print("\n".join(_lines(table(settings, **options))))
        return 0
    return serve(settings)


def _lines(rows: Iterable[SettingRow]) -> Iterator[str]:
    """Yield an environment file; secrets, and settings that have their defaults, are comments."""
    yield f"# Settings of mien serve {__version__}, as environment variables."
    yield "# Lines that begin with #MIEN_ are defaults. docker run --env-file reads this file."
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            yield f"\n# --- {group} ---"
        yield ""
        yield from textwrap.wrap(
            row.description, _WIDTH, initial_indent="# ", subsequent_indent="# "
        )
        if row.source != "default":
            source = "an option" if row.source == "option" else row.source
            default = f"; default {row.default}" if row.default else ""
            yield f"# Set by {source}{default}{'; the value is not shown' if row.masked else ''}."
        commented = row.masked or row.source == "default"
        yield f"{'#' if commented else ''}{row.variable}={printable(row.value)}"


def _parser() -> Parser:
    parser = Parser(
        prog="mien serve",
        description="Start the HTTP service, with a page to try it.",
        epilog="Every setting is also an environment variable, such as MIEN_MAX_PIXELS; "
        "--print-config lists them. An option takes precedence over its variable.",
    )
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        help="default 127.0.0.1: this machine only; 0.0.0.0: all interfaces",
    )
    parser.add_argument("--port", type=whole, metavar="N", help="default 9000; 0: any free port")
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="server processes that share the port; default 1",
    )
    parser.add_argument(
        "--root-path", metavar="PATH", help="path prefix below which a proxy serves this service"
    )
    add_model_options(parser)
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print every setting with description and source, as an environment file, and exit",
    )
    return parser
