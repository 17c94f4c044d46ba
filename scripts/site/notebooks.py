"""A hook of MkDocs: the notebooks in docs/ become pages, with the outputs that are stored in them."""

import base64
import json
import re
from pathlib import PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class NotebookFile(File):
    """A notebook, whose text is Markdown that was made of it."""

    def is_documentation_page(self) -> bool:
        """A notebook is a page and not a file to copy."""
        return True


def on_files(files: Files, *, config: Any) -> Files:
    """Put pages and pictures in the place of notebooks."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            files.remove(file)
            text, pictures = as_markdown(json.loads(file.content_string), PurePosixPath(file.src_uri).stem)
            page = NotebookFile.generated(config, file.src_uri, content=text)
            files.append(page)
            folder = PurePosixPath(file.src_uri).parent
            for name, content in pictures.items():
                files.append(File.generated(config, str(folder / name), content=content))
    return files


def as_markdown(notebook: dict[str, Any], stem: str) -> tuple[str, dict[str, bytes]]:
    """Return the Markdown of a notebook, and the pictures that it shows by their names."""
    pictures: dict[str, bytes] = {}
    blocks = [block for cell in notebook["cells"] for block in _cell(cell, stem, pictures)]
    return "\n\n".join(blocks) + "\n", pictures


def _cell(cell: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> list[str]:
    source = _text(cell["source"]).strip("\n")
    if cell["cell_type"] == "markdown":
        return [source]
    blocks = [f"```python\n{source}\n```"] if cell["cell_type"] == "code" else []
    printed = "".join(_text(output["text"]) for output in cell.get("outputs", []) if output["output_type"] == "stream")
    if printed.strip():
        text = COLOUR.sub("", printed).strip("\n")
        block = _indented(f"```text\n{text}\n```")
        blocks.append(f'??? note "What this prints"\n\n{block}')
    for output in cell.get("outputs", []):
        if output["output_type"] == "execute_result":
            blocks += _result(output["data"], stem, pictures)
    return blocks


def _result(data: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> list[str]:
    if "image/png" in data:
        name = f"{stem}_{len(pictures)}.png"
        pictures[name] = base64.b64decode(_text(data["image/png"]))
        return [f"![What the cell above draws]({name})"]
    if "text/html" in data:
        return [f'<div class="output" markdown="0">\n{_text(data["text/html"]).strip()}\n</div>']
    return [f"```text\n{_text(data['text/plain'])}\n```"]


def _text(lines: str | list[str]) -> str:
    return lines if isinstance(lines, str) else "".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
