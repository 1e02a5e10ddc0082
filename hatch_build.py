"""Metadata hook of hatchling: the README with absolute links, for package indexes."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!\w+:|#)(?P<path>[^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Sets ``readme``; relative links lead to the version's tag in the source repository."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the project's ``readme`` from README.md, ``urls.Source`` and ``version``."""
        source, tag = metadata["urls"]["Source"], f"v{metadata['version']}"

        def absolute(link: re.Match[str]) -> str:
            kind = "raw" if link["image"] else "blob"
            return f"{link['image']}[{link['text']}]({source}/{kind}/{tag}/{link['path']})"

        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": _LINK.sub(absolute, text),
        }
