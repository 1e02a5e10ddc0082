"""Generated parts of the documentation: references of HTTP, command line and options.

MkDocs calls ``on_page_markdown`` for each page (mkdocs.yml, ``hooks``). A comment such as
``<!-- made: http -->`` is replaced by the reference of that name. A page with ``<!-- wide -->`` has
no table of contents, so that its tables get more space.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import Field, fields
from enum import StrEnum
from io import StringIO
from typing import Any
from unittest import mock

from mien.cli import _COMMANDS, main
from mien.options import Options
from mien.server.app import create_app
from mien.server.errors import PROBLEMS
from mien.server.openapi import LINES_TYPE, body_fields
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
    """Return the endpoints and errors of the service's OpenAPI schema, as Markdown."""
    document = create_app(Settings()).openapi()
    paths: Mapping[str, Any] = document["paths"]
    schemas = document["components"]["schemas"]
    lines = [
        line
        for path, methods in paths.items()
        for method, operation in methods.items()
        for line in _operation(f"{method.upper()} {path}", operation, schemas)
    ]
    return "\n".join([*lines, *_types(schemas), *_problems()])


def _operation(name: str, operation: Mapping[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "", operation.get("description", ""), "")
    if "parameters" in operation:
        yield from ("| parameter | value | meaning |", "|---|---|---|")
        for each in operation["parameters"]:
            values = _values(each["schema"], schemas)
            if default := each["schema"].get("default"):
                values += f"; default `{json.dumps(default).strip(chr(34))}`"
            yield f"| `{each['name']}` | {values} | {each['description']} |"
        yield ""
    if "requestBody" in operation:
        body = operation["requestBody"]
        yield from (body["description"], "", "| content type | field | meaning |", "|---|---|---|")
        for kind, field, schema in body_fields(body):
            yield f"| `{kind}` | {field and f'`{field}`'} | {schema['description']} |"
        yield ""
    content = operation["responses"]["200"].get("content", {})
    done = [_type(media["schema"], schemas) for media in content.values() if "schema" in media]
    if LINES_TYPE in content:
        done = [f"lines of JSON, each {_type({'$ref': '#/VideoLine'}, schemas)}"]
    yield from ("| status | |", "|---|---|", f"| 200 | {' or '.join(done) or 'done'} |")
    for status, response in operation["responses"].items():
        if status != "200":
            codes = response["description"].split(", ")
            yield f"| {status} | {', '.join(f'[`{code}`](#{code})' for code in codes)} |"
    yield ""


def _values(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    schema = _resolved(schema, schemas)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    least = f" from {schema['minimum']:.12g}" if "minimum" in schema else ""
    most = f" to {schema['maximum']:.12g}" if "maximum" in schema else ""
    return f"{schema['type']}{least}{most}"


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Follow references; return the item schema of an array and the first choice of ``anyOf``."""
    if "$ref" in schema:
        return _resolved(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return _resolved(schema["anyOf"][0], schemas)
    if "items" in schema:
        return _resolved(schema["items"], schemas)
    return schema


def _types(schemas: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of the keys of each response type."""
    yield from ("### Response types", "")
    for name, schema in schemas.items():
        if "properties" in schema:
            yield from (f"#### {name} {{ #{name.lower()} }}", "", schema.get("description", ""), "")
            yield from ("| key | type | meaning |", "|---|---|---|")
            for key, value in schema["properties"].items():
                yield f"| `{key}` | {_type(value, schemas)} | {value.get('description', '')} |"
            yield ""


def _type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if "properties" not in schemas[name]:
            return _type(schemas[name], schemas)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each, schemas) for each in schema["anyOf"])
    if values := schema.get("enum"):
        codes = set(values) >= set(PROBLEMS)
        return "one of the [errors](#errors)" if codes else ", ".join(f"`{v}`" for v in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'], schemas)}"
    return str(schema.get("type", "any"))


def _problems() -> Iterator[str]:
    yield from ("### Errors { #errors }", "", "| code | status | for example |", "|---|---|---|")
    for code, problem in PROBLEMS.items():
        yield f'| <span id="{code}"></span>`{code}` | {problem.status} | {problem.detail} |'


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
