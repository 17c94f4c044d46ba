"""The page of a sweep, in a real browser."""

import pytest
from pages import report_data
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from vae_exp.results import report, tables
from vae_exp.results.jobs import read_jobs
from vae_exp.results.metrics import with_error
from vae_exp.results.report import machine
from vae_exp.results.report.run import without_errors

QUICK = ["samples=1000", "network.hidden_sizes=[8]", "logger=none", "callbacks.evaluate.decades=1"]
WITHOUT_FIGURES = [*QUICK, "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def curves(chart):
    """The names of a chart's curves."""
    return [path.get_attribute("data-name") for path in chart.find_elements(By.CSS_SELECTOR, ".curves path[data-name]")]


def visible(chart):
    """How many of a chart's points lie above its axis."""
    axis = float(chart.find_element(By.CSS_SELECTOR, ".axis").get_attribute("d").split()[1].partition("H")[0])
    points = chart.find_elements(By.CSS_SELECTOR, ".curves circle")
    return sum(float(point.get_attribute("cy")) < axis for point in points)


@pytest.mark.usefixtures("reports")
def test_the_page_of_a_sweep_shows_every_job_and_sorts_them(run, browser, tmp_path):
    words = ["architecture.latent_dim=2,10,-3", "objective=sgvb_b,wake_sleep", "hydra.sweep.dir=sweep"]
    assert run("-m", *words, *WITHOUT_FIGURES).status == 1
    browser.open(tmp_path / "sweep" / "report.html")
    charts = browser.all(".chart")
    assert [chart.text.splitlines()[0] for chart in charts] == [
        "latent_dim = 2 (bound, nats per image)",
        "latent_dim = 10 (bound, nats per image)",
        "at the end (bound, nats per image)",
    ]
    assert browser.texts(".legend button") == ["sgvb_b", "wake_sleep", "test", "train", "whole range"]
    every = [f"{objective} {split}" for objective in ("sgvb_b", "wake_sleep") for split in ("train", "test")]
    assert all(curves(chart) == every for chart in charts)
    browser.press(".legend button", "wake_sleep")
    assert all(curves(chart) == every[:2] for chart in charts)
    assert visible(charts[0]) < 10
    browser.press(".legend button", "whole range")
    assert visible(charts[0]) == 10
    assert browser.texts("#pictures figcaption b") == ["figure2"]

    assert browser.texts("main > section.table h2") == ["Settings", "Not completed", "Every job"]
    _, failed, table = browser.all("main > section.table")
    assert [row.text.split()[:2] for row in failed.find_elements(By.CSS_SELECTOR, "tbody tr")] == [
        ["4", "failed"],
        ["5", "failed"],
    ]
    assert failed.text.count("architecture.latent_dim=-3") == 2
    rows = tables.rows(read_jobs(tmp_path / "sweep"))
    filled = [name for name in without_errors(rows[0]) if any(row[name] is not None for row in rows)]
    headers = table.find_elements(By.TAG_NAME, "th")
    names = [header.text for header in headers]
    assert names == [name for name in filled if name not in ("error", "directory", *machine.COLUMNS_OF_JOBS)]

    def column(name):
        cells = table.find_elements(By.CSS_SELECTOR, f"td:nth-child({names.index(name) + 1})")
        return [cell.get_attribute("textContent") for cell in cells]

    def sort(name):
        headers[names.index(name)].find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        return column(name)

    assert column("status") == ["completed"] * 4 + ["failed"] * 2
    assert sort("architecture.latent_dim") == ["-3", "-3", "2", "2", "10", "10"]
    assert sort("architecture.latent_dim") == ["10", "10", "2", "2", "-3", "-3"]
    assert headers[names.index("architecture.latent_dim")].get_attribute("aria-sort") == "descending"
    in_order = [with_error(row, "test/bound") for row in sorted(rows[:4], key=lambda row: row["test/bound"])]
    assert sort("test/bound") == [*in_order, "", ""]
    assert sort("test/bound") == [*reversed(in_order), "", ""]

    browser.resize(400)
    assert browser.width() == 400
    (link,) = [link for link in table.find_elements(By.TAG_NAME, "a") if link.text == "4"]
    link.send_keys(Keys.ENTER)
    assert browser.texts(".status") == ["failed"]
    assert "architecture.latent_dim=-3" in browser.texts(".notice")[0]
    assert browser.is_quiet()


def test_a_sweep_without_a_completed_job_has_a_curve_per_job(run, tmp_path):
    assert run("-m", "seed=0,1", "hydra.sweep.dir=sweep", *WITHOUT_FIGURES).status == 0
    for file in (tmp_path / "sweep").glob("*/results.json"):
        file.unlink()
    page = report_data(report.write_report(tmp_path / "sweep").parent)
    assert [(chart["title"], [one["label"] for one in chart["series"]]) for chart in page["charts"]] == [
        ("test/bound", ["0, 0", "1, 1"])
    ]
