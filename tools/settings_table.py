"""Writes the table of settings into docs/settings.md: ``make settings-table``."""

import itertools
import re
from pathlib import Path

from mien.settings import Settings, table

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
PLACE = re.compile(r"(?<=<!-- settings -->\n).*(?=<!-- end of settings -->)", re.DOTALL)


def lines() -> str:
    """Return a table for each group."""
    text = ""
    for group, rows in itertools.groupby(table(Settings()), lambda row: row.group):
        text += f"\n**{group}**\n\n| variable | default | |\n|---|---|---|\n"
        for row in rows:
            default = f"`{row.default}`" if row.default else ""
            text += f"| `{row.variable}` | {default} | {row.description} |\n"
    return text + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(PLACE.sub(lambda _: lines(), DOCUMENT.read_text()))
