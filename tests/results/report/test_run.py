"""The page of a run, in a real browser."""

import pytest
from pages import report_data
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from vae_exp.results.metrics import with_error

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
    assert browser.texts("#pictures figcaption") == ["latent scatter", "manifold", "reconstructions", "samples"]
    assert all(int(picture.get_attribute("naturalWidth")) > 100 for picture in browser.all("#pictures img"))
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

    browser.all("#pictures figure button")[0].click()
    assert browser.all("dialog img")[0].is_displayed()
    browser.all("dialog")[0].click()
    assert not browser.all("dialog")[0].is_displayed()

    browser.resize(400)
    assert browser.width() == 400
    assert all(350 < chart.size["width"] < 400 for chart in charts)
    assert browser.is_quiet()


@pytest.mark.usefixtures("reports")
def test_a_run_that_diverged_says_so(run):
    outcome = run(*WITHOUT_FIGURES, "optimizer=sgd", "optimizer.lr=1e9")
    assert outcome.status == 1
    page = report_data(outcome.directory)
    assert page["status"] == "diverged"
    assert "not finite" in page["notice"]
    assert "lr: 1000000000.0" in page["config"]
