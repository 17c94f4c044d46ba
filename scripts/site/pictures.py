"""A hook of MkDocs: a picture opens large when it is clicked."""

import re
from typing import Any

PICTURE = re.compile(r"<p>(<img\b[^>]*\bsrc=\"([^\"]+)\"[^>]*>)</p>")


def on_page_content(html: str, **_: Any) -> str:
    """Make every picture that stands alone a link to itself."""
    return PICTURE.sub(r'<p><a class="picture" href="\2">\1</a></p>', html)
