"""A real browser that has no network."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By


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


@pytest.fixture(scope="session")
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
