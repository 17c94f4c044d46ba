"""The page of a run or a sweep, read back."""

import json
import re
from pathlib import Path
from typing import Any


def report_data(directory: Path) -> dict[str, Any]:
    """What the page of a run or a sweep was given."""
    page = (directory / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data
