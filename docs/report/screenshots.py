"""Makes the pictures of docs/reports.md and README.md from reports of real sweeps.

    python docs/report/screenshots.py runs/binary_vs_int8/report.html runs/width/report.html
    for each: convert NAME.png -colors 96 PNG8:NAME.png    (ImageMagick: a third of the size)

Needs Playwright and an installed Chromium, as the tests of the page do.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
# A picture's name, and its first and last view; both and all between them are in it.
COMPARISON = {
    "overview": ("overview", "tradeoff-bytes"),
    "tradeoff": ("tradeoff-bytes", "tradeoff-bytes"),
    "differences": ("differences", "differences"),
    "costs": ("memory", "energy-by-cause"),
    "training": ("training-accuracy", "training-accuracy"),
    "binary": ("flips", "most-repeated-filters"),
    "int8": ("ranges", "layers"),
    "execution": ("agreement", "confusion"),
}
WIDTHS = {"equal-accuracy": ("equal-accuracy", "accuracy-by-size")}
_MARGIN = 16


def opened(browser: Browser, page: Path, width: int, height: int, scheme: str = "light") -> Page:
    """Open a report and wait until all of its charts are drawn."""
    tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    tab.goto(page.resolve().as_uri())
    # Not `wait_for_function`: it compiles its text in the page, whose policy forbids that.
    while tab.locator(".plot:not(:has(svg))").count():
        tab.wait_for_timeout(100)
    return tab


def take(tab: Page, name: str, first: str, last: str) -> None:
    """Write the part of a page from one view to another."""
    boxes = [tab.locator(f"[id='{view}']").bounding_box() for view in (first, last)]
    assert all(boxes), f"{name}: no view {first} or {last}"
    top, bottom = boxes[0]["y"] - _MARGIN, boxes[1]["y"] + boxes[1]["height"] + _MARGIN  # type: ignore[index]
    left, width = boxes[0]["x"] - _MARGIN, boxes[0]["width"] + 2 * _MARGIN  # type: ignore[index]
    clip = {"x": left, "y": top, "width": width, "height": bottom - top}
    tab.screenshot(path=HERE / f"{name}.png", full_page=True, clip=clip)  # type: ignore[arg-type]


def main(comparison: Path, widths: Path) -> None:
    """Write all pictures beside this file."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        wide = opened(browser, comparison, 1440, 1240)
        wide.screenshot(path=HERE / "decision.png")
        for name, (first, last) in COMPARISON.items():
            take(wide, name, first, last)
        wide.screenshot(path=HERE / "1440.png", full_page=True)
        opened(browser, comparison, 1440, 900, "dark").screenshot(path=HERE / "dark.png")
        phone = {"x": 0, "y": 0, "width": 390, "height": 6000}
        opened(browser, comparison, 390, 844).screenshot(path=HERE / "390.png", full_page=True, clip=phone)  # type: ignore[arg-type]
        for name, (first, last) in WIDTHS.items():
            take(opened(browser, widths, 1440, 900), name, first, last)
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
