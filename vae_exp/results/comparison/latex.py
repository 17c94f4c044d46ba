"""The tables of a comparison as LaTeX, for the package booktabs."""

from vae_exp.results.comparison.differences import Difference
from vae_exp.results.comparison.rows import Comparison
from vae_exp.results.comparison.tables import DIFFERENCE_COLUMNS, Cell, cells, columns, difference_cells

ESCAPED = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "−": "$-$",
    "[": "{[}",  # at the beginning of a row it would be an argument of the line break
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex(comparison: Comparison, metrics: list[str], found: list[Difference]) -> str:
    """Format `comparison.tex`: the table of settings and the table of differences, for `input`."""
    tables = [tabular(columns(comparison, metrics), cells(comparison, metrics))]
    if found:
        tables.append(tabular(DIFFERENCE_COLUMNS, [[Cell(text) for text in row] for row in difference_cells(found)]))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def tabular(heads: list[str], rows: list[list[Cell]]) -> str:
    """Format a table. Columns of numbers are aligned at the right, and the best number of a column is bold."""
    numeric = [all(_is_number(row[i].text) for row in rows if row[i].text) for i in range(len(heads))]
    lines = [
        f"\\begin{{tabular}}{{{''.join('r' if is_number else 'l' for is_number in numeric)}}}",
        "\\toprule",
        _line([escaped(head) for head in heads]),
        "\\midrule",
        *(_line([_cell(cell) for cell in row]) for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join([*lines, ""])


def escaped(text: str) -> str:
    """Escape the characters that LaTeX reads as commands, on one line."""
    return "".join(ESCAPED.get(character, character) for character in " ".join(text.split()))


def _cell(cell: Cell) -> str:
    if not _is_number(cell.text):
        return escaped(cell.text)
    number = cell.text.replace("±", r"\pm").replace(",", "{,}")
    return f"$\\mathbf{{{number}}}$" if cell.best else f"${number}$"


def _is_number(text: str) -> bool:
    """Tell whether a text is a number, also with its standard error or with thousands separators."""
    try:
        for part in text.split(" ± "):
            float(part.replace(",", ""))
    except ValueError:
        return False
    return True


def _line(texts: list[str]) -> str:
    return f"{' & '.join(texts)} \\\\"
