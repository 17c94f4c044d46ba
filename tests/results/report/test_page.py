"""The page of a run and of a sweep, in a real browser that has no network."""

import json

import pytest
from selenium.webdriver.common.by import By

from vae_exp.results.report.page import Chart, Page, Series, as_json

QUICK = ["samples=1000", "network.hidden_sizes=[8]", "logger=none", "callbacks.evaluate.decades=1"]
WITHOUT_FIGURES = [*QUICK, "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def curves(chart):
    """The names of a chart's curves."""
    return [path.get_attribute("data-name") for path in chart.find_elements(By.CSS_SELECTOR, ".curves path[data-name]")]


def test_nothing_that_was_typed_becomes_markup(browser, tmp_path):
    evil = "</script><script>console.error('in')</script><!--<script><img src=x onerror=console.error(1)>&lt;"
    page = Page(title=evil, status=evil, parts={evil: evil}, notice=evil, config=evil, command=evil, origin=evil)
    (tmp_path / "page.html").write_text(page.html(), encoding="utf-8")
    browser.open(tmp_path / "page.html")
    assert browser.texts("h1") == [evil]
    assert browser.driver.title == evil
    assert browser.texts(".notice") == [evil]
    assert browser.is_quiet()


@pytest.mark.parametrize(
    "values",
    [[0.0], [-5.0, -5.0], [1e6, 1e6 + 1e-9], [1e30, -1e35], [1e-30, 2e-30], [0.0, 1e300], [3, 4, 5]],
    ids=str,
)
def test_every_range_of_values_has_an_axis(browser, tmp_path, values):
    points = [(10.0**i, value, 0.0) for i, value in enumerate(values)]
    page = Page("page", "completed", charts=[Chart("chart", [Series("", "test", points)])])
    (tmp_path / "page.html").write_text(page.html(), encoding="utf-8")
    browser.open(tmp_path / "page.html")
    (chart,) = browser.all(".chart")
    assert curves(chart) == ["test"]
    assert "NaN" not in chart.get_attribute("innerHTML")
    left = chart.rect["x"]
    assert all(text.rect["x"] >= left for text in chart.find_elements(By.TAG_NAME, "text"))
    assert len(chart.find_elements(By.CSS_SELECTOR, "text[text-anchor=end]")) >= 2
    assert browser.is_quiet()


def test_numbers_that_json_does_not_have_are_words():
    assert json.loads(as_json({"a": [float("nan"), (float("-inf"), 1.5, None)]})) == {"a": ["nan", ["-inf", 1.5, None]]}


@pytest.mark.usefixtures("reports")
def test_a_fault_in_the_report_does_not_fail_the_run(run, monkeypatch):
    monkeypatch.setattr("vae_exp.results.report.page_of_run", lambda path: 1 / 0)
    outcome = run(*WITHOUT_FIGURES)
    assert outcome.status == 0
    assert "could not be written: division by zero" in outcome.err + outcome.out
    assert not (outcome.directory / "report.html").exists()
