"""The picture of the page in the README, taken anew: trains the model of the demo, serves it, asks it in Chromium.

Run it with `python examples/page_picture.py [FILE]`; it needs `pip install ".[demo,test-pages]"` and chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import afterfit
from afterfit.cli._demo_model import load_flights, train_pipeline

WIDTH, HEIGHT = 1200, 800


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "flights.afit"
        flights = load_flights()
        afterfit.save(
            train_pipeline(flights),
            bundle,
            X=flights.train,
            y=flights.late,
            name="flights",
            description="Will a flight from New York arrive more than 15 minutes late?",
        )
        command = [sys.executable, "-m", "afterfit", "serve", str(bundle), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                line = server.stdout.readline()
                take(line[line.index("http://") :].split()[0], target)
            finally:
                server.terminate()


def take(url: str, target: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        page.get_by_label("dep_delay", exact=True).fill("31")
        page.get_by_label("carrier", exact=True).select_option(label="Another value …")
        page.get_by_label("Another value of carrier").fill("UAL")
        page.get_by_role("button", name="Predict").click()
        page.locator("#answer details").wait_for()
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "page.png"))
