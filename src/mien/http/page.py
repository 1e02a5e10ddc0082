"""The OpenAPI schema as one readable page of HTML: no script, nothing from elsewhere.

What an operation's description lacks is left out.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from typing import Any

from mien.http.problems import PROBLEMS

__all__ = ["CONTENT_POLICY", "render_page"]

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
CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

_EXAMPLE = """curl -F image=@photo.jpg '{address}/emotion'
curl -F image=@one.jpg -F image=@two.png '{address}/emotion/batch?include=scores'
curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg '{address}/emotion'"""


def render_page(schema: dict[str, Any], address: str) -> str:
    """Return the page for an OpenAPI 3 schema; address: of the service, for the examples."""
    info = schema["info"]
    sections = [
        _operation(path, method, operation)
        for path, methods in schema["paths"].items()
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
<p>The same in full, for programs: <a href="/openapi.json">openapi.json</a></p>
{"".join(sections)}
{_problems()}
</main>
</body>
</html>
"""


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f"<h2>{escape(method.upper())} {escape(path)}</h2>",
        *(
            f"<p>{escape(text)}</p>"
            for text in operation.get("description", "").split("\n\n")
            if text
        ),
    ]
    if "parameters" in operation:
        parts += ["<h3>Parameters</h3>", _parameters(operation["parameters"])]
    if "requestBody" in operation:
        kinds = ", ".join(f"<code>{escape(k)}</code>" for k in operation["requestBody"]["content"])
        parts += ["<h3>Body</h3>", f"<p>{kinds}</p>"]
    parts += ["<h3>Answers</h3>", _answers(operation["responses"])]
    return "\n".join(parts)


def _parameters(parameters: list[dict[str, Any]]) -> str:
    return _table(
        ("Name", "Value", "Meaning"),
        [
            (
                f"<code>{escape(p['name'])}</code>",
                _values(p.get("schema", {})),
                escape(p.get("description", "")),
            )
            for p in parameters
        ],
    )


def _values(schema: dict[str, Any]) -> str:
    schema = schema.get("items", schema)
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    least = f" from {schema['minimum']}" if "minimum" in schema else ""
    return escape(f"{schema.get('type', '')}{least}")


def _answers(responses: dict[str, Any]) -> str:
    successes = [status for status in responses if status.startswith("2")]
    others = [
        (f"<code>{escape(status)}</code>", _codes(answer.get("content", {})))
        for status, answer in responses.items()
        if status not in successes
    ]
    parts = [f"<p><code>{escape(s)}</code></p>{_examples(responses[s])}" for s in successes]
    return "".join(parts) + (_table(("Status", "Codes"), others) if others else "")


def _examples(answer: dict[str, Any]) -> str:
    return "".join(map(_example, answer.get("content", {}).values()))


def _example(content: dict[str, Any]) -> str:
    if "example" not in content:
        return ""
    example = content["example"]
    lines = example if isinstance(example, str) else json.dumps(example, indent=2)
    return f"<pre>{escape(lines)}</pre>"


def _codes(content: dict[str, Any]) -> str:
    codes = content.get("application/problem+json", {}).get("examples", {})
    return ", ".join(f'<a href="#{escape(code)}">{escape(code)}</a>' for code in codes)


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


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table><tr>{titles}</tr>\n" + "\n".join(lines) + "</table>"
