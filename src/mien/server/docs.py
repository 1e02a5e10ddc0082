"""``GET /docs``: the OpenAPI document as one page of HTML, without scripts or other hosts."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, Response

from mien.server.dependencies import OPEN
from mien.server.errors import PROBLEMS
from mien.server.openapi import LINES_TYPE, body_fields

__all__ = ["docs_router", "sections"]

# A name, or an address of either kind, and a port: nothing that a shell or a page could act on.
_HOST = re.compile(r"([a-zA-Z0-9_.-]{1,253}|\[[a-fA-F0-9:.]{2,45}\])(:[0-9]{1,5})?")
_DEFAULT_ADDRESS = "http://127.0.0.1:9000"

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
code, pre { font: 14px/1.5 ui-monospace, monospace; background: var(--soft); border-radius: 4px; }
code { padding: .1em .3em; } pre { padding: .8rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; }
tr { border-bottom: 1px solid var(--line); } tr:target { background: var(--soft); }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

_EXAMPLE = """curl -F image=@photo.jpg '{address}/emotion'
curl -F image=@one.jpg -F image=@two.png '{address}/emotion/batch?include=scores'
curl --data-binary @photo.jpg '{address}/emotion'"""
_CODE = re.compile("`([^`]*)`")


def docs_router(app: FastAPI) -> APIRouter:
    """Return the route that documents the given application."""
    router = APIRouter(include_in_schema=False, dependencies=OPEN)

    # Clients can send any Host header, so the cache is limited.
    @lru_cache(maxsize=8)
    def page(address: str) -> str:
        return _page(app.openapi(), address)

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        headers = {"Content-Security-Policy": _CONTENT_POLICY}
        address = _address(request) + request.scope.get("root_path", "")
        return HTMLResponse(page(address), headers=headers)

    return router


def _address(request: Request) -> str:
    """Return where the client found the service, as ``https://host``, to be shown to the client."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        return _DEFAULT_ADDRESS
    # Set by a proxy that terminates TLS. A client's own value affects only its own response.
    proxied = request.headers.get("x-forwarded-proto") == "https"
    return f"https://{host}" if proxied else f"{request.url.scheme}://{host}"


def _page(document: dict[str, Any], address: str) -> str:
    info = document["info"]
    parts = [
        f'<h2 id="{id_}">{escape(title)}</h2>\n{html}' for title, id_, html in sections(document)
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])} {escape(info["version"])}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(info["title"])} {escape(info["version"])}</h1>
{_prose(info["description"])}
<pre>{escape(_EXAMPLE.format(address=address))}</pre>
<p>The same for programs: <a href="openapi.json">openapi.json</a></p>
{"".join(parts)}
</main>
</body>
</html>
"""


def sections(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield title, anchor and HTML of each endpoint, of the types and of the errors.

    The documentation site also shows them.
    """
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            html = _operation(operation, schemas)
            yield f"{method.upper()} {path}", f"{method}{path.replace('/', '-')}", html
    yield "Types", "types", _types(schemas)
    yield "Errors", "errors", _problems()


def _operation(operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    parts = [_prose(operation.get("description", ""))]
    if "parameters" in operation:
        parts += ["<h3>Parameters</h3>", _parameters(operation["parameters"], schemas)]
    if "requestBody" in operation:
        parts += ["<h3>Body</h3>", _body(operation["requestBody"], schemas)]
    parts += ["<h3>Responses</h3>", _responses(operation["responses"], schemas)]
    return "\n".join(parts)


def _prose(text: str) -> str:
    """Return paragraphs; text between backticks is code."""
    html = _CODE.sub(r"<code>\1</code>", escape(text))
    return "".join(f"<p>{paragraph}</p>" for paragraph in html.split("\n\n") if paragraph)


def _parameters(parameters: list[dict[str, Any]], schemas: dict[str, Any]) -> str:
    rows = [
        (f"<code>{escape(p['name'])}</code>", _type(p["schema"], schemas), _meaning(p["schema"], p))
        for p in parameters
    ]
    return _table(("Name", "Value", "Meaning"), rows)


def _body(body: dict[str, Any], schemas: dict[str, Any]) -> str:
    rows = [
        (
            f"<code>{escape(kind)}</code>",
            f"<code>{escape(name)}</code>" if name else "",
            _type(field, schemas),
            _meaning(field, field),
        )
        for kind, name, field in body_fields(body)
    ]
    return _prose(body.get("description", "")) + _table(
        ("Content type", "Field", "Value", "Meaning"), rows
    )


def _meaning(schema: dict[str, Any], described: dict[str, Any]) -> str:
    """Return the description, default and example of a parameter, field or key."""
    text = escape(described.get("description", ""))
    if schema.get("default") not in (None, []):
        text += f" Default: <code>{escape(json.dumps(schema['default']).strip(chr(34)))}</code>."
    for example in schema.get("examples", ())[:1]:
        shown = ",".join(example) if isinstance(example, list) else str(example)
        text += f" Example: <code>{escape(shown)}</code>"
    return text


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Return what values a schema allows, with links to the types of objects."""
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            is_object = "properties" in schemas[name]
            link = f'<a href="#type-{escape(name)}">{escape(name)}</a>'
            text = link if is_object else _type(schemas[name], schemas)
        case {"anyOf": choices}:
            text = " or ".join(_type(choice, schemas) for choice in choices)
        case {"enum": values} if set(values) >= set(PROBLEMS):
            text = 'one of the <a href="#errors">codes</a>'
        case {"enum": values}:
            text = ", ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"items": items}:
            count = schema.get("minItems")
            exact = f"{count}: " if count and count == schema.get("maxItems") else ""
            text = f"list of {exact}{_type(items, schemas)}"
        case {"additionalProperties": dict() as value}:
            text = f"object of {_type(value, schemas)}"
        case {"format": "binary"}:
            text = "file"
        case _:
            text = escape(_bounded(schema))
    return text


def _bounded(schema: dict[str, Any]) -> str:
    """Return a simple type with the range of its values."""
    bounds = [
        f"{preposition} {schema[key]:.12g}"
        for preposition, key in (("from", "minimum"), ("to", "maximum"))
        if key in schema
    ]
    return " ".join([schema.get("type", ""), *bounds])


def _responses(responses: dict[str, Any], schemas: dict[str, Any]) -> str:
    success, *errors = responses.items()
    rows = [
        (
            f"<code>{escape(status)}</code>",
            ", ".join(
                f'<a href="#{escape(code)}">{escape(code)}</a>'
                for code in response["description"].split(", ")
            ),
        )
        for status, response in errors
    ]
    content = success[1].get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    text = _type(schema, schemas)
    if LINES_TYPE in content:
        text = f"lines of JSON, each {_type({'$ref': '#/VideoLine'}, schemas)}"
    return f"<p><code>{escape(success[0])}</code> {text}</p>" + (
        _table(("Status", "Codes"), rows) if rows else ""
    )


def _types(schemas: dict[str, Any]) -> str:
    """Return a table of the keys of each type of object."""
    parts = []
    for name, schema in schemas.items():
        if "properties" in schema:
            rows = [
                (f"<code>{escape(key)}</code>", _type(value, schemas), _meaning(value, value))
                for key, value in schema["properties"].items()
            ]
            parts += [
                f'<h3 id="type-{escape(name)}">{escape(name)}</h3>',
                _prose(schema.get("description", "")),
                _table(("Key", "Value", "Meaning"), rows),
            ]
    return "\n".join(parts)


def _problems() -> str:
    rows = [
        f'<tr id="{code}"><td><code>{code}</code></td><td>{problem.status}</td>'
        f"<td>{escape(problem.detail)}</td></tr>"
        for code, problem in PROBLEMS.items()
    ]
    return (
        "<p>Errors are <code>application/problem+json</code> (RFC 9457). "
        "<code>code</code> is stable; <code>detail</code> may change.</p>"
        "<table><tr><th>Code</th><th>Status</th><th>For example</th></tr>"
        + "\n".join(rows)
        + "</table>"
    )


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in header)
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table><tr>{titles}</tr>\n" + "\n".join(lines) + "</table>"
