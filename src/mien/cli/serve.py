"""``mien serve``: the service."""

import argparse
from collections.abc import Iterator, Sequence

from mien.cli.options import add_model_options, positive, whole
from mien.server.run import serve
from mien.settings import SettingRow, load_settings, table

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Serve until stopped. Raises InvalidParameterError before it begins."""
    options = vars(_parser().parse_args(arguments))
    print_config = options.pop("print_config")
    settings = load_settings(**options)
    if print_config:
        print("\n".join(_lines(table(settings, **options))))
        return 0
    return serve(settings)


def _lines(rows: Iterator[SettingRow]) -> Iterator[str]:
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            yield f"# {group}"
        yield f"{row.name:18} {row.value:20} {row.source:24} {row.default:20} {row.description}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien serve",
        description="Starts the HTTP service, with a page to try it.",
        epilog="Every setting is also an environment variable, such as MIEN_MAX_PIXELS; "
        "--print-config lists them. An option takes precedence over its variable.",
    )
    parser.add_argument("--host", metavar="ADDRESS", help="default 127.0.0.1: this machine only")
    parser.add_argument("--port", type=whole, metavar="N", help="default 9000")
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="server processes that share the port"
    )
    parser.add_argument(
        "--root-path", metavar="PATH", help="path prefix below which a proxy serves this service"
    )
    add_model_options(parser)
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print every setting with its value, source, default and description, then exit",
    )
    return parser
