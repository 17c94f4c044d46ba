"""The page: `page.html`, its style and scripts, and the content as JSON, in one file."""

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from vae_exp.results.report.page import as_json

FOLDER = Path(__file__).parent

SCRIPTS = ("kernel", "engine", "convolution", "model", "widgets", "plane", "sketch", "sections", "walk", "main")
"""The scripts in the order in which they use each other."""


def html(title: str, content: dict[str, Any]) -> str:
    """Make the page as the text of one HTML file."""
    files = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = "\n".join(['"use strict";', "{", *files, "}"])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template((FOLDER / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=f"sha256-{digest}",  # the browser runs no other script
        data=as_json(content),
    )
