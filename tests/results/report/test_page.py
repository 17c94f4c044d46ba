"""The page of a run and of a sweep, in a real browser that has no network."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import report_data
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from vae_exp.cli import report as program
from vae_exp.results import report, tables
from vae_exp.results.jobs import read_jobs
from vae_exp.results.report.page import Chart, Page, Series, as_json
from vae_exp.results.run_directory import RunDirectory

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


class Browser:
    """Chromium, 1200 pixels wide."""

    def __init__(self, program: str, driver: str) -> None:
        options = ChromeOptions()
        options.binary_location = program
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = Chrome(options=options, service=Service(driver))
        self.resize(1200)

    def resize(self, width: int) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.settle()

    def open(self, path: Path) -> None:
        self.driver.get(path.absolute().as_uri())
        self.settle()

    def settle(self) -> None:
        """Until what was resized is drawn."""
        wait = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
        self.driver.execute_async_script(wait)

    def all(self, selector: str):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def press(self, selector: str, text: str) -> None:
        (button,) = [element for element in self.all(selector) if element.text == text]
        button.click()

    def width(self) -> int:
        return self.driver.execute_script("return document.documentElement.scrollWidth")

    def is_quiet(self) -> bool:
        """Whether there was no error, and nothing was asked of a network."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        assert [url for url in sent if not url.startswith(("file:", "data:"))] == []
        assert self.driver.get_log("browser") == []
        return True


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("a page is tested in Chromium: apt-get install chromium chromium-driver")
    browser = Browser(program, driver)
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    chromium.resize(1200)
    chromium.is_quiet()  # what came before is not of this page
    return chromium


def test_the_page_of_a_run_shows_curves_values_pictures_and_numbers(run, browser):
    outcome = run(*QUICK, "architecture.latent_dim=2")
    assert outcome.status == 0, outcome.err
    browser.open(outcome.directory / "report.html")
    bound = {split: f"{outcome.results[f'{split}/bound']:.3f}" for split in ("train", "test")}
    assert browser.texts(".status") == ["completed"]
    assert browser.texts(".facts .first dd") == [bound["test"]]
    charts = browser.all(".chart")
    assert browser.texts(".chart figcaption")[:3] == ["bound", "nll", "kl"]
    assert all(curves(chart) == ["train", "test"] for chart in charts[:3])
    assert [len(chart.find_elements(By.CSS_SELECTOR, ".curves circle")) for chart in charts[:3]] == [10] * 3
    assert browser.texts("#pictures figcaption") == ["latent scatter", "manifold", "reconstructions", "samples"]
    assert all(int(picture.get_attribute("naturalWidth")) > 100 for picture in browser.all("#pictures img"))
    assert "latent_dim: 2" in browser.all("#config pre")[0].get_attribute("textContent")

    hover, picture = (charts[0].find_element(By.CSS_SELECTOR, name) for name in (".hover", "svg"))
    assert not hover.is_displayed()
    to_the_right = picture.size["width"] // 2 - 20
    ActionChains(browser.driver).move_to_element_with_offset(picture, to_the_right, 0).perform()
    assert all(word in hover.text for word in ("1,000 samples", bound["train"], bound["test"]))
    assert charts[0].rect["y"] < hover.rect["y"] < charts[0].rect["y"] + 80
    picture.send_keys(Keys.ARROW_LEFT)
    assert "600 samples" in hover.text

    browser.press(".legend button", "train")
    assert all(curves(chart) == ["test"] for chart in charts[:3])
    browser.press(".legend button", "train")
    assert curves(charts[0]) == ["train", "test"]

    browser.all("#pictures figure button")[0].click()
    assert browser.all("dialog img")[0].is_displayed()
    browser.all("dialog")[0].click()
    assert not browser.all("dialog")[0].is_displayed()

    browser.resize(400)
    assert browser.width() == 400
    assert all(350 < chart.size["width"] < 400 for chart in charts)
    assert browser.is_quiet()


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
    assert browser.texts("#pictures figcaption") == ["figure2"]

    assert browser.texts("section.table h2") == ["Settings", "Not completed", "Every job"]
    _, failed, table = browser.all("section.table")
    assert [row.text.split()[:2] for row in failed.find_elements(By.CSS_SELECTOR, "tbody tr")] == [
        ["4", "failed"],
        ["5", "failed"],
    ]
    assert failed.text.count("architecture.latent_dim=-3") == 2
    rows = tables.rows(read_jobs(tmp_path / "sweep"))
    filled = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    headers = table.find_elements(By.TAG_NAME, "th")
    names = [header.text for header in headers]
    assert names == [name for name in filled if name not in ("error", "directory")]

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
    in_order = [f"{value:.3f}" for value in sorted(row["test/bound"] for row in rows[:4])]
    assert sort("test/bound") == [*in_order, "", ""]
    assert sort("test/bound") == [*reversed(in_order), "", ""]

    browser.resize(400)
    assert browser.width() == 400
    (link,) = [link for link in table.find_elements(By.TAG_NAME, "a") if link.text == "4"]
    link.send_keys(Keys.ENTER)
    assert browser.texts(".status") == ["failed"]
    assert "architecture.latent_dim=-3" in browser.texts(".notice")[0]
    assert browser.is_quiet()


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


def test_a_run_that_diverged_says_so(run):
    outcome = run(*WITHOUT_FIGURES, "optimizer=sgd", "optimizer.lr=1e9")
    assert outcome.status == 1
    page = report_data(outcome.directory)
    assert page["status"] == "diverged"
    assert "not finite" in page["notice"]
    assert page["config"]


def test_a_fault_in_the_report_does_not_fail_the_run(run, monkeypatch):
    monkeypatch.setattr("vae_exp.results.report.page_of_run", lambda path: 1 / 0)
    outcome = run(*WITHOUT_FIGURES)
    assert outcome.status == 0
    assert "could not be written: division by zero" in outcome.err + outcome.out
    assert not (outcome.directory / "report.html").exists()


def test_the_reports_can_be_made_again_and_a_killed_job_has_one(run, tmp_path, monkeypatch):
    assert run("-m", "seed=0,1", "hydra.sweep.dir=sweep", *WITHOUT_FIGURES).status == 0
    directory = tmp_path / "sweep"
    (directory / "1" / "results.json").unlink()
    for file in directory.rglob("report.html"):
        file.unlink()
    monkeypatch.setattr(sys, "argv", ["report", str(directory)])
    with RunDirectory(directory / "1").locked():
        program.main()
    assert report_data(directory / "1")["status"] == "running"
    program.main()
    killed = report_data(directory / "1")
    assert len(killed["charts"]) == 7
    assert (killed["status"], killed["facts"]["samples"]) == ("killed", 1000)
    assert killed["command"].startswith("python -m vae_exp ")
    assert " seed=1 " in killed["command"]
    rows = report_data(directory)["tables"][0]["rows"]
    assert [(row[0]["href"], row[1]) for row in rows] == [
        ("./0/report.html", "completed"),
        ("./1/report.html", "killed"),
    ]


def test_a_sweep_without_a_completed_job_has_a_curve_per_job(run, tmp_path):
    assert run("-m", "seed=0,1", "hydra.sweep.dir=sweep", *WITHOUT_FIGURES).status == 0
    for file in (tmp_path / "sweep").glob("*/results.json"):
        file.unlink()
    page = report_data(report.write_report(tmp_path / "sweep").parent)
    assert [(chart["title"], [one["label"] for one in chart["series"]]) for chart in page["charts"]] == [
        ("test/bound", ["0, 0", "1, 1"])
    ]


def test_the_wrong_folder_is_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        program.main()
    assert end.value.code == 1
    assert "is the directory of neither a run nor a sweep" in capsys.readouterr().err
