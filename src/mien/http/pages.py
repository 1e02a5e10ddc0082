"""The description of the service as one plain page, made from its OpenAPI schema."""

from html import escape
from typing import Any

__all__ = ["docs_page"]

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
code { font: 0.9em ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.8rem; border: 1px solid var(--line); border-radius: 6px; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1.2rem 0.2rem 0; }
"""
_CURL = "curl -F image=@photo.jpg http://127.0.0.1:9000/emotion"


def docs_page(openapi: dict[str, Any]) -> str:
    """Return the page for a schema; no scripts, nothing from other hosts."""
    title = escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    operations = [
        _operation(method, path, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(openapi['info'].get('description', ''))}</p>"
        f"<pre><code>{escape(_CURL)}</code></pre>"
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
        f"{''.join(operations)}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    parts = [
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p>{escape(operation.get('description', ''))}</p>",
    ]
    if body:
        parts.append(f"<p>Body: {', '.join(f'<code>{escape(kind)}</code>' for kind in body)}</p>")
    if operation.get("parameters"):
        parts.append(_table("Query", map(_parameter, operation["parameters"])))
    answers = operation["responses"].items()
    parts.append(_table("Answers", ((code, entry["description"]) for code, entry in answers)))
    return "".join(parts)


def _parameter(parameter: dict[str, Any]) -> tuple[str, str]:
    schema = parameter["schema"]
    choices = schema.get("enum") or schema.get("items", {}).get("enum")
    kind = ", ".join(choices) if choices else schema["type"]
    if "minimum" in schema:
        kind += f" of at least {schema['minimum']}"
    return parameter["name"], f"{parameter['description']} ({kind})"


def _table(title: str, rows: Any) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>"
        for name, text in rows
    )
    return f"<h3>{title}</h3><table>{cells}</table>"
