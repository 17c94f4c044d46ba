"""The page of a model, in a real browser that has no network."""

import shutil

import numpy as np
import pytest
import torch
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from vae_exp.cli import touch
from vae_exp.results.load import load_run

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = ["samples=1000", "network.hidden_sizes=[8]", "network.init_std=0.5", "logger=none", "callbacks.figures=null"]
CANVAS = """
const copy = new OffscreenCanvas(arguments[1], arguments[1]).getContext("2d", { willReadFrequently: true });
copy.drawImage(arguments[0], 0, 0);
return [...copy.getImageData(0, 0, arguments[1], arguments[1]).data];
"""


def pixels(browser, selector, size=28):
    """The grey values of a canvas, 0 to 255."""
    data = browser.driver.execute_script(CANVAS, browser.all(selector)[0], size)
    return np.array(data).reshape(size, size, 4)[:, :, 0]


def decoded(browser):
    browser.settle()
    return pixels(browser, "#decoded")


def place(browser):
    browser.settle()
    return browser.texts("#place")


def tap(browser, selector, across, down):
    """Touch an element with a finger, at a place in it from 0 to 1."""
    box = browser.driver.execute_script(
        "arguments[0].scrollIntoView({block: 'center'}); return arguments[0].getBoundingClientRect().toJSON()",
        browser.all(selector)[0],
    )
    point = {"x": box["x"] + across * box["width"], "y": box["y"] + down * box["height"]}
    for kind, points in (("touchStart", [point]), ("touchEnd", [])):
        browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    browser.settle()


@pytest.mark.usefixtures("reports")
def test_a_conditional_model_is_touched_by_mouse_finger_and_keys(run, command, browser):
    outcome = run("architecture=cvae", "architecture.latent_dim=2", "callbacks.evaluate.decades=0.1", *QUICK)
    status, said = command(touch, f"run={outcome.directory}")
    assert (status, said.out.strip()) == (0, str(outcome.directory / "model.html")), said.err
    browser.open(outcome.directory / "report.html")
    # the report shows it within itself, and links it
    (frame,) = browser.all("#model iframe")
    browser.driver.execute_script("arguments[0].scrollIntoView()", frame)
    browser.driver.switch_to.frame(frame)
    browser.settle()
    assert float(browser.all("footer")[0].get_attribute("data-difference")) <= 1 / 255
    browser.driver.switch_to.default_content()
    browser.driver.find_element(By.LINK_TEXT, "Touch the model").send_keys(Keys.ENTER)
    browser.settle()

    # the image of the first test image's code, by PyTorch with the weights as they were trained
    loaded = load_run(outcome.directory)
    ((x, y),) = loaded.data.evaluation_batches("test", 1, 1)
    z = loaded.model.encode(x, y)
    right = 255 * loaded.model.decode(z, y).mean[0, 0].numpy()
    assert np.abs(decoded(browser) - right).max() <= 1  # in levels of 255
    assert float(browser.all("footer")[0].get_attribute("data-difference")) <= 1 / 255

    # another label, the same style
    browser.all(".labels input")[3].send_keys(Keys.SPACE)
    right = 255 * loaded.model.decode(z, torch.tensor([3])).mean[0, 0].numpy()
    assert np.abs(decoded(browser) - right).max() <= 1

    # the plane: keys, mouse, finger
    before = decoded(browser)
    plane, elsewhere = browser.all("#plane")[0], browser.all("h1")[0]
    places = [place(browser)]
    plane.send_keys(Keys.ARROW_LEFT)
    places.append(place(browser))
    ActionChains(browser.driver).move_to_element_with_offset(plane, 40, 60).perform()
    looked = place(browser)
    ActionChains(browser.driver).move_to_element(elsewhere).perform()
    assert place(browser) == places[-1] != looked  # the mouse only looked
    ActionChains(browser.driver).move_to_element_with_offset(plane, 40, 60).click().move_to_element(elsewhere).perform()
    places.append(place(browser))
    tap(browser, "#plane", 0.2, 0.2)
    places.append(place(browser))
    assert len({tuple(one) for one in places}) == 4
    assert np.abs(decoded(browser) - before).max() > 1

    # a drawing, and another test image
    browser.press("#pictures button", "Clear")
    assert pixels(browser, ".sketch").max() == 0
    tap(browser, ".sketch", 0.5, 0.5)
    assert pixels(browser, ".sketch")[14, 14] == 255
    assert "Your drawing" in browser.texts(".said")[0]
    browser.all(".strip button")[0].send_keys(Keys.ARROW_RIGHT)
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.settle()
    assert browser.texts(".said") == ["Test image 1, 2."]

    # the walk ends at the second image
    browser.all("#walk input")[0].send_keys(Keys.END)
    ((x, y),) = loaded.data.evaluation_batches("test", 2, 2)
    right = 255 * loaded.model.decode(loaded.model.encode(x, y), y).mean[1, 0].numpy()
    assert np.abs(decoded(browser) - right).max() <= 1

    for width in (390, 1900):
        browser.resize(width)
        assert browser.width() <= width
    named = "button, input, select, canvas[role]:not([aria-hidden])"
    names = browser.driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter((one) => one.getClientRects().length)"
        ".filter((one) => !(one.ariaLabel || one.textContent || one.labels?.[0]?.textContent)).length",
        named,
    )
    assert names == 0
    assert browser.is_quiet()


@pytest.mark.usefixtures("reports")
def test_the_models_of_a_sweep_stand_beside_each_other(trained, command, browser, tmp_path):
    for job, rate in enumerate(("0.01", "0.02", "0.02")):  # the last differs in the seed alone
        path = shutil.copytree(trained, tmp_path / "sweep" / str(job))
        (path / ".hydra" / "overrides.yaml").write_text(f"- optimizer.lr={rate}\n- seed={job}\n")
    assert command(touch, f"run={tmp_path / 'sweep'}")[0] == 0
    assert "./model.html" in (tmp_path / "sweep" / "report.html").read_text()
    browser.open(tmp_path / "sweep" / "model.html")
    assert browser.texts(".models label") == ["lr = 0.01", "lr = 0.02"]
    captions = browser.texts("#pictures .outputs > figure:not(.input) figcaption")
    assert [caption.partition(":")[0] for caption in captions if caption] == ["lr = 0.01", "lr = 0.02"]
    assert len(browser.all("#walk .walk")) == 2
    browser.all(".models input")[0].send_keys(Keys.ARROW_RIGHT)
    browser.settle()
    assert browser.texts("footer")[0].startswith("lr = 0.02: ")
    browser.resize(390)
    assert browser.width() == 390
    assert browser.is_quiet()
