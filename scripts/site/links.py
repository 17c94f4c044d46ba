"""A hook of MkDocs: what a page links to outside docs/ is a file of the repository, and is shown as its name.

`[the schema](../vae_exp/config/schema.py)` becomes the schema (`vae_exp/config/schema.py`). If the site has a page of
the file or folder (`PAGES`), the link leads there.
"""

import posixpath
import re
from typing import Any

PAGES = {"examples/own_project": "own_project.md"}
"""The page that shows a file or folder from outside docs/."""

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)]*)?\)")
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Rewrite the links of one page."""
    source = page.file.src_uri
    pieces = FENCE.split(markdown)
    return "".join(piece if i % 2 else rewritten(piece, source) for i, piece in enumerate(pieces))


def rewritten(markdown: str, source: str) -> str:
    """Rewrite the links of a text that stands in docs/`source`."""
    return LINK.sub(lambda link: _target(link, posixpath.dirname(source)), markdown)


def outside(target: str, folder: str) -> str | None:
    """The path below the repository that a link names, if it lies outside docs/."""
    if "://" in target or target.startswith("mailto:"):
        return None
    path = posixpath.normpath(posixpath.join("docs", folder, target))
    return None if path == "docs" or path.startswith("docs/") else path


def _target(link: re.Match[str], folder: str) -> str:
    path = outside(link[2], folder)
    if path is None:
        return link[0]
    if path in PAGES:
        return f"[{link[1]}]({posixpath.relpath(PAGES[path], folder or '.')})"
    name = f"`{path}`"
    return name if link[1].strip("`/") == path else f"{link[1]} ({name})"
