"""The pages for readers: README.md, CONTRIBUTING.md and docs/, and the commands on them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

PROGRAM = re.compile(r"(?:\.venv/bin/)?(?:python -m )?vae_exp(?= |$)(.*)")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"<[^<>]*>")


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command of the program on a page, without `python -m vae_exp`.

    Words with … stand for others, and are left out. What stands in brackets may be left out, and is taken.
    """
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    for line in lines + [span for span in spans(page) if " " in span]:
        found = PROGRAM.match(line)
        if found is None or line.startswith("vae_exp: "):
            continue
        words = shlex.split(PLACEHOLDER.sub("placeholder", found[1]), comments=True)
        words = [word[1:-1] if word.startswith("[") and word.endswith("]") else word for word in words]
        yield [word for word in words if "…" not in word and not word.startswith("[")]


def spans(page: Path) -> list[str]:
    """Return what is written as code within the lines of a page."""
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^ {4,}.*$", "", FENCE.sub("", text), flags=re.MULTILINE)
    return [span.replace("\\|", "|") for span in INLINE.findall(prose)]


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def slug(heading: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of every link of a page to a file of the repository."""
    for target, anchor in re.findall(r"\]\(([^)\s#]*)#?([^)\s]*)(?: \"[^\"]*\")?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            yield (page.parent / target if target else page), anchor
