"""``GET /docs``: the OpenAPI document as one page of HTML, without scripts or other hosts."""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, Response

from mien.server.dependencies import OPEN
from mien.server.errors import PROBLEMS

__all__ = ["docs_router", "resolved"]

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


def docs_router(app: FastAPI) -> APIRouter:
    """Return the route that documents the given application."""
    router = APIRouter(include_in_schema=False, dependencies=OPEN)

    # Clients may name any address; a service has few.
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
    schemas = document["components"]["schemas"]
    sections = [
        _operation(path, method, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
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
<p>{escape(info["description"])}</p>
<pre>{escape(_EXAMPLE.format(address=address))}</pre>
<p>The same for programs: <a href="openapi.json">openapi.json</a></p>
{"".join(sections)}
{_problems()}
</main>
</body>
</html>
"""


def _operation(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    parts = [
        f"<h2>{escape(method.upper())} {escape(path)}</h2>",
        *(
            f"<p>{escape(text)}</p>"
            for text in operation.get("description", "").split("\n\n")
            if text
        ),
    ]
    if "parameters" in operation:
        parts += ["<h3>Parameters</h3>", _parameters(operation["parameters"], schemas)]
    if "requestBody" in operation:
        kinds = ", ".join(f"<code>{escape(k)}</code>" for k in operation["requestBody"]["content"])
        parts += ["<h3>Body</h3>", f"<p>{kinds}</p>"]
    parts += ["<h3>Responses</h3>", _responses(operation["responses"], schemas)]
    return "\n".join(parts)


def _parameters(parameters: list[dict[str, Any]], schemas: dict[str, Any]) -> str:
    return _table(
        ("Name", "Value", "Meaning"),
        [
            (
                f"<code>{escape(p['name'])}</code>",
                _values(p["schema"], schemas),
                escape(p.get("description", "")),
            )
            for p in parameters
        ],
    )


def resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Follow references; return the item schema of an array and the first choice of ``anyOf``."""
    if "$ref" in schema:
        return resolved(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return resolved(schema["anyOf"][0], schemas)
    if "items" in schema:
        return resolved(schema["items"], schemas)
    return schema


def _values(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    schema = resolved(schema, schemas)
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    bounds = [
        f"{preposition} {schema[key]}"
        for preposition, key in (("from", "minimum"), ("to", "maximum"))
        if key in schema
    ]
    return escape(" ".join([schema.get("type", ""), *bounds]))


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
    content = success[1].get("content", {}).get("application/json", {}).get("schema", {})
    return (
        f"<p><code>{escape(success[0])}</code></p>"
        + _properties(resolved(content, schemas), schemas)
        + (_table(("Status", "Codes"), rows) if rows else "")
    )


def _properties(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    rows = [
        (
            f"<code>{escape(name)}</code>",
            _values(value, schemas),
            escape(value.get("description", "")),
        )
        for name, value in schema.get("properties", {}).items()
    ]
    return _table(("Key", "Value", "Meaning"), rows) if rows else ""


def _problems() -> str:
    rows = [
        f'<tr id="{code}"><td><code>{code}</code></td><td>{problem.status}</td>'
        f"<td>{escape(problem.example)}</td></tr>"
        for code, problem in PROBLEMS.items()
    ]
    return (
        "<h2>Errors</h2><p>Each is <code>application/problem+json</code> (RFC 9457). "
        "<code>code</code> is stable; the sentence may change.</p>"
        "<table><tr><th>Code</th><th>Status</th><th>For example</th></tr>"
        + "\n".join(rows)
        + "</table>"
    )


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in header)
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table><tr>{titles}</tr>\n" + "\n".join(lines) + "</table>"
