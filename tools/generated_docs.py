"""Generated parts of the documentation: references of HTTP, command line and options.

MkDocs calls ``on_page_markdown`` for each page (mkdocs.yml, ``hooks``). A comment such as
``<!-- made: http -->`` is replaced by the reference of that name. A page with ``<!-- wide -->`` has
no table of contents, so that its tables get more space.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import Field, fields
from enum import StrEnum
from io import StringIO
from typing import Any
from unittest import mock

from mien.cli import _COMMANDS, main
from mien.options import Options
from mien.server.app import create_app
from mien.server.docs import sections
from mien.settings import Settings
from mien_train.parser import COMMANDS, parser

__all__ = ["MARK", "REFERENCES", "command_line", "http", "on_page_markdown", "options"]

MARK = re.compile(r"^<!-- made: ([\w ]+) -->$", re.MULTILINE)
WIDE = "<!-- wide -->\n"
HELP_COLUMNS = "90"


def on_page_markdown(markdown: str, *, page: Any = None, **_: Any) -> str:
    """Insert the references of a page.

    Raises:
        KeyError: A comment names an unknown reference.
    """
    if page is not None and WIDE in markdown:
        page.meta["hide"] = ["toc"]
    return MARK.sub(lambda match: REFERENCES[match[1]](), markdown)


def http() -> str:
    """Return what ``/docs`` of the service has, with titles as Markdown."""
    document = create_app(Settings()).openapi()
    return "\n".join(
        f"## {title} {{ #{anchor} }}\n\n{html}\n" for title, anchor, html in sections(document)
    )


def command_line() -> str:
    """Return the help of each command of ``mien`` and ``mien-train`` as Markdown."""
    training = _helps("mien-train", COMMANDS, parser().parse_args)
    return "\n".join([*_helps("mien", _COMMANDS, main), *training])


def _helps(command: str, names: Iterable[str], run: Callable[[list[str]], Any]) -> Iterator[str]:
    for name in ("", *names):
        arguments = [name, "--help"] if name else ["--help"]
        yield f"### {f'{command} {name}'.strip()}\n\n```text\n{_printed(run, arguments)}```\n"


def _printed(run: Callable[[list[str]], Any], arguments: list[str]) -> str:
    # argparse follows the terminal's width and colors, and exits after printing.
    variables = {"COLUMNS": HELP_COLUMNS, "NO_COLOR": "1"}
    with (
        mock.patch.dict(os.environ, variables),
        redirect_stdout(StringIO()) as printed,
        suppress(SystemExit),
    ):
        run(arguments)
    return printed.getvalue()


def options() -> str:
    """Return the table of analysis options as Markdown."""
    rows = [_option(each) for each in fields(Options)]
    return "\n".join(["| option | values | default | meaning |", "|---|---|---|---|", *rows])


def _option(each: Field[Any]) -> str:
    least, most = each.metadata["least"], each.metadata["most"]
    if isinstance(each.default, StrEnum):
        values = ", ".join(f"`{value}`" for value in type(each.default))
    elif isinstance(each.default, bool):
        values = "`True`, `False`"
    else:
        values = f"from {least}" if most is None else f"{least} to {most}"
    return f"| `{each.name}` | {values} | `{each.default}` | {each.metadata['about']} |"


REFERENCES = {"http": http, "command line": command_line, "options": options}
