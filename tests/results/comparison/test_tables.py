"""The tables of a comparison, opened by other programs: the csv module and a parser of LaTeX."""

import csv

import pytest
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker
from variants import variant

from vae_exp.errors import ConfigError
from vae_exp.results.comparison.rows import compare
from vae_exp.results.comparison.write import write_comparison

METRICS = ["test/bound", "test/kl"]


@pytest.fixture
def folder(trained, tmp_path):
    runs = [
        variant(trained, tmp_path / name, {"seed": seed, "architecture.latent_dim": size}, **{"test/bound": bound})
        for name, seed, size, bound in (
            ("a", 0, 20, -104.0),
            ("b", 1, 20, -103.0),
            ("c", 0, 2, -99.25),
            ("d", 1, 2, -98.0),
        )
    ]
    runs.append(variant(trained, tmp_path / "e&_%", {"likelihood": "a_b&c", "seed": 7}, status="failed", error="=1+1"))
    return write_comparison(compare(runs), METRICS, [], tmp_path / "out").parent


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def latex_rows(text):
    """The cells of every tabular, by a parser of LaTeX; a cell is its source."""
    nodes, _, _ = LatexWalker(text).get_latex_nodes()
    tables = [node for node in nodes if node.isNodeType(LatexEnvironmentNode) and node.environmentname == "tabular"]
    for table in tables:
        rows, cells = [], [""]
        for node in table.nodelist:
            source = node.latex_verbatim()
            if source.startswith("\\\\"):
                rows.append([cell.strip() for cell in [*cells]])
                cells = [""]
            elif source == "&":
                cells.append("")
            elif not source.startswith(("\\toprule", "\\midrule", "\\bottomrule")):
                cells[-1] += source
        yield rows


def test_the_csv_has_all_digits_and_the_latex_the_same_numbers(folder):
    first, second, failed = rows_of(folder / "comparison.csv")
    assert [first["setting"], second["setting"]] == ["latent_dim=20", "latent_dim=2"]
    assert (float(first["test/bound"]), float(first["test/bound_error_over_seeds"])) == (-103.5, 0.5)
    assert (first["seeds"], first["runs"], first["status"], first["reached"]) == ("0 1", "2", "completed", "200")
    assert (float(second["test/bound"]), float(second["test/bound_error_over_seeds"])) == (-98.625, 0.625)
    assert failed["status"] == "failed"
    (difference, *_) = rows_of(folder / "differences.csv")
    assert (difference["test"], float(difference["difference"]), float(difference["standard_error"])) == (
        "paired",
        4.875,
        0.125,
    )
    runs = rows_of(folder / "runs.csv")
    assert [float(run["test/bound"]) for run in runs[:4]] == [-104.0, -103.0, -99.25, -98.0]
    assert runs[4]["error"] == "'=1+1"

    settings, differences = latex_rows((folder / "comparison.tex").read_text(encoding="utf-8"))
    heads, *latex = settings
    assert heads == ["likelihood", "architecture.latent\\_dim", "status", "runs", "reached", *METRICS]
    assert all(len(row) == len(heads) for row in latex)
    assert [row[5] for row in latex[:2]] == ["$-103.5 \\pm 0.5$", "$\\mathbf{-98.6 \\pm 0.6}$"]
    assert latex[2][0] == "a\\_b\\&c"
    assert differences[1][3] == "$+4.88 \\pm 0.12$"


def test_the_markdown_shows_the_rows_and_why_one_is_not_completed(folder):
    page = (folder / "comparison.md").read_text(encoding="utf-8")
    assert "| bernoulli | 2 | completed | 2 | 200 | **-98.6 ± 0.6** |" in page
    assert "2 pairs | paired |" in page
    assert "e&_% | failed | =1+1 |" in page


def test_an_unknown_metric_is_one_message(trained, tmp_path):
    with pytest.raises(ConfigError, match=r"metrics=test/bund: no run has it\. Did you mean test/bound\?"):
        write_comparison(compare([trained]), ["test/bund"], [], tmp_path / "out")
