"""The page of a run, in a real browser."""

import pytest
from pages import report_data
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from vae_exp.figures.figure import Figure
from vae_exp.results.metrics import with_error
from vae_exp.results.report.page import Page, Picture

QUICK = ["samples=1000", "network.hidden_sizes=[8]", "logger=none", "callbacks.evaluate.decades=1"]
WITHOUT_FIGURES = [*QUICK, "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def curves(chart):
    """The names of a chart's curves."""
    return [path.get_attribute("data-name") for path in chart.find_elements(By.CSS_SELECTOR, ".curves path[data-name]")]


@pytest.mark.usefixtures("reports")
def test_the_page_of_a_run_shows_curves_values_pictures_and_numbers(run, browser):
    outcome = run(*QUICK, "architecture.latent_dim=2")
    assert outcome.status == 0, outcome.err
    browser.open(outcome.directory / "report.html")
    bound = {split: with_error(outcome.results, f"{split}/bound") for split in ("train", "test")}
    assert browser.texts(".status") == ["completed"]
    assert browser.texts(".facts .first dd") == [bound["test"]]
    charts = browser.all(".chart")
    assert browser.texts(".chart figcaption")[:3] == ["bound", "nll", "kl"]
    assert all(curves(chart) == ["train", "test"] for chart in charts[:3])
    assert [len(chart.find_elements(By.CSS_SELECTOR, ".curves circle")) for chart in charts[:3]] == [10] * 3
    assert browser.texts("#pictures figcaption b") == ["latent scatter", "manifold", "reconstructions", "samples"]
    assert all(len(text.split()) > 8 for text in browser.texts("#pictures figcaption"))
    assert all(int(picture.get_attribute("naturalWidth")) > 100 for picture in browser.all("#pictures figure img"))
    assert "latent_dim: 2" in browser.all("#config pre")[0].get_attribute("textContent")

    bars = browser.all(".bars .column")
    assert [bar.get_attribute("title").partition(":")[0] for bar in bars] in (["0", "1"], ["1", "0"])
    assert f"Active units: {outcome.results['test/active_units']} of 2" in browser.texts(".verdict")[0]

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

    rows = [row.text.split() for row in browser.all("#config tbody tr")]
    assert ["architecture.latent_dim", "2", "20"] in rows
    folded = browser.all("details")
    assert not any(part.get_attribute("open") for part in folded)
    assert browser.texts("#machine summary")[0].startswith("Time and machine: ")
    assert browser.texts("#reproduce .copied")[0].splitlines()[-1] == browser.texts(".command")[0]

    browser.resize(400)
    assert browser.width() == 400
    assert all(350 < chart.size["width"] < 400 for chart in charts)
    assert browser.is_quiet()


def test_every_picture_opens_large_by_pointer_and_by_keyboard(browser, tmp_path):
    figure = Figure(figsize=(2, 1))
    for name in ("filters", "own", "samples"):
        (tmp_path / f"{name}.png").write_bytes(figure.png(dpi=100))
    pictures = [Picture.read(tmp_path / f"{name}.png") for name in ("filters", "own", "samples")]
    page = Page("page", "completed", pictures=pictures)
    (tmp_path / "page.html").write_text(page.html(), encoding="utf-8")
    browser.open(tmp_path / "page.html")
    small, (dialog,) = browser.all("#pictures figure img")[0].size["width"], browser.all("dialog")

    def large():
        return dialog.is_displayed() and browser.texts("dialog p b")[0]

    buttons = browser.all("#pictures figure button")
    buttons[0].click()
    assert large() == "filters"
    assert browser.all("dialog img")[0].size["width"] > 2 * small
    browser.all("dialog img")[0].click()
    assert not dialog.is_displayed()

    buttons[1].send_keys(Keys.ENTER)
    assert large() == "own"
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert large() == "samples"
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert large() == "filters"
    browser.all("dialog button[title='Previous picture']")[0].click()
    assert large() == "samples"
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert browser.driver.switch_to.active_element == buttons[1]

    browser.resize(390)
    buttons[0].click()
    assert browser.all("dialog img")[0].size["width"] >= 390
    assert browser.width() == 390
    browser.press("dialog button", "\u2715")
    assert not dialog.is_displayed()
    assert browser.is_quiet()


@pytest.mark.usefixtures("reports")
def test_a_run_that_diverged_says_so(run):
    outcome = run(*WITHOUT_FIGURES, "optimizer=sgd", "optimizer.lr=1e9")
    assert outcome.status == 1
    page = report_data(outcome.directory)
    assert page["status"] == "diverged"
    assert "not finite" in page["notice"]
    assert "lr: 1000000000.0" in page["config"]
