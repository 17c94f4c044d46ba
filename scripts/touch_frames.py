"""Measure pages of models in headless Chromium: frames per second while the point moves, and the error of pixels.

    python scripts/touch_frames.py <run>/model.html …

It needs chromium and chromedriver. Every page is moved for 100 frames; their times are by the browser's own clock.
"""

import shutil
import sys
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

MOVE = """
const done = arguments[0];
const plane = document.querySelector("#plane");
const box = plane.getBoundingClientRect();
const send = (name, t) => plane.dispatchEvent(new PointerEvent(name, {
  pointerId: 1, pointerType: "mouse", bubbles: true,
  clientX: box.left + box.width * (0.5 + 0.35 * Math.cos(t)),
  clientY: box.top + box.height * (0.5 + 0.35 * Math.sin(2 * t)),
}));
plane.setPointerCapture = () => {}; // no such pointer exists
send("pointerdown", 0);
const times = [];
let [i, last] = [0, performance.now()];
function next() {
  const now = performance.now();
  if (i) times.push(now - last);
  last = now;
  if (i++ === 100) done([...times.sort((a, b) => a - b), Number(document.querySelector("footer").dataset.difference)]);
  else {
    send("pointermove", i / 16);
    requestAnimationFrame(next);
  }
}
requestAnimationFrame(next);
"""


def main() -> None:
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(60)
    for page in map(Path, sys.argv[1:]):
        driver.get(page.absolute().as_uri())
        driver.execute_script("document.querySelector('#plane').scrollIntoView({block: 'center'})")
        *times, difference = driver.execute_async_script(MOVE)
        mean = sum(times) / len(times)
        print(
            f"{page.parent.name}: {page.stat().st_size / 1e6:.2f} MB, {1000 / mean:.0f} frames per second, "
            f"95% of the frames within {times[94]:.1f} ms, largest error of a pixel {difference:.1e}"
        )
    driver.quit()


if __name__ == "__main__":
    main()
