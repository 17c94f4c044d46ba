"""Text and numbers in LaTeX."""

from vae_exp.results.comparison.latex import escaped, tabular
from vae_exp.results.comparison.tables import Cell


def test_text_is_no_command():
    assert escaped("50%_of [1, 2] & ~x^2 {\\n}") == (
        "50\\%\\_of {[}1, 2] \\& \\textasciitilde{}x\\textasciicircum{}2 \\{\\textbackslash{}n\\}"
    )


def test_columns_of_numbers_are_at_the_right_and_empty_cells_do_not_change_that():
    table = tabular(["part", "bound"], [[Cell("vae"), Cell("-1.5 ± 0.2", best=True)], [Cell("ae"), Cell("")]])
    assert table.splitlines() == [
        "\\begin{tabular}{lr}",
        "\\toprule",
        "part & bound \\\\",
        "\\midrule",
        "vae & $\\mathbf{-1.5 \\pm 0.2}$ \\\\",
        "ae &  \\\\",
        "\\bottomrule",
        "\\end{tabular}",
    ]
