"""The page in a real browser: headless Chromium, from a file, with its policy in force."""

import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
from planted import study

from qbench.report.html.page import render
from qbench.report.model.report_model import make_report
from qbench.report.render.cells import cells
from qbench.report.views.catalogue import make_views

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `dev` has it)")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the page is not tried in a browser")

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)</script>",
    "javascript:alert(4)",
    "{{7*7}}${7*7}",
)
SCHEMES = {
    "fp32": (0.99, 888_848, 27.0),
    "binarynet": (0.90, 29_756, 0.445),
    "int8-kl": (0.98, 225_176, 3.9),
    "int8-minmax": (0.97, 225_176, 3.9),
}


def write_page(path, schemes):
    made = study(schemes, images=200)
    kept = {
        trial: replace(found, layers=[{**layer, "name": f"{layer['name']} {HOSTILE[0]}"} for layer in found.layers])
        for trial, found in made.details.items()
    }
    model = make_report([replace(made, details=kept, name=f"a sweep {HOSTILE[2]}")])
    views = make_views(model)
    path.write_text(render(model, views), encoding="utf-8")
    return path.as_uri(), views


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page") / "report.html", SCHEMES)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    schemes = {"fp32": SCHEMES["fp32"]} | {name: (0.95, 1000 + i, 1.0 + i) for i, name in enumerate(HOSTILE)}
    return write_page(tmp_path_factory.mktemp("hostile") / "report.html", schemes)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield launched
        launched.close()


@pytest.fixture
def opened(browser):
    """Open a page; at the end nothing was requested, and the console is empty."""
    contexts, trouble = [], []

    def open_page(address, **options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                None
                if request.url == address or request.url.startswith(("data:", "blob:"))
                else trouble.append(f"request: {request.url}")
            ),
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def drawn(page):
    page.wait_for_selector("html[data-charts=drawn]", timeout=60_000)
    return page


def column(page, index):
    return page.locator(f"#overview tbody tr:visible > *:nth-child({index})").all_text_contents()


def index_of(views, heading):
    return cells(views["overview"]).headings.index(heading) + 1


def test_every_chart_is_drawn_and_nothing_is_requested(written, opened):
    address, _ = written
    page = drawn(opened(address))
    charts = page.locator("figure[data-chart]")
    assert charts.count() >= 7
    assert [charts.nth(i).locator(".plot > svg").count() for i in range(charts.count())] == [1] * charts.count()
    sizes = [charts.nth(i).locator(".plot > svg").bounding_box() for i in range(charts.count())]
    assert [size for size in sizes if size["width"] < 200 or size["height"] < 40] == []
    assert page.locator("#tradeoff-bytes .mark-symbol path").count() == len(SCHEMES) * 2  # marks, and in the legend


def test_a_click_on_a_heading_sorts(written, opened):
    address, views = written
    page = opened(address)
    size = index_of(views, "weight bytes")
    heading = page.locator(f"#overview thead th:nth-child({size})")
    unsorted = column(page, 1)
    assert unsorted == list(SCHEMES)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column(page, size) == ["29,756", "225,176", "225,176", "888,848"]  # as numbers, not as texts
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert column(page, 1)[0] == "fp32"
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "none"
    assert column(page, 1) == unsorted


def test_rows_without_a_value_come_last_in_both_directions(written, opened):
    address, views = written
    page = opened(address)
    agreement = index_of(views, "kernel agrees")
    for _ in range(2):
        page.locator(f"#overview thead th:nth-child({agreement}) button").click()
        assert column(page, 1)[-1] == "fp32"


def test_the_filter_hides_rows(written, opened):
    page = opened(written[0])
    page.get_by_role("searchbox", name="Filter").fill("INT8 kl")
    assert column(page, 1) == ["int8-kl"]
    assert page.locator("#overview output").text_content() == "1 of 4 rows"
    page.get_by_role("searchbox", name="Filter").fill("")
    assert len(column(page, 1)) == 4


def test_copies_go_to_the_clipboard(written, opened):
    address, views = written
    page = opened(address)
    # The clipboard of a local file cannot be granted to a headless browser: what the page hands it is kept instead.
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', "
        "{ value: { writeText: async (text) => { window.copied = text } }, configurable: true })"
    )
    page.get_by_role("button", name="Copy as LaTeX").click()
    assert page.evaluate("window.copied").count(r"\\") == len(SCHEMES) + 1
    page.get_by_role("searchbox", name="Filter").fill("int8")
    page.get_by_role("button", name="Copy as CSV").click()
    lines = page.evaluate("window.copied").splitlines()
    assert lines[0] == ",".join(each.name for each in views["overview"].columns)
    assert [line.partition(",")[0] for line in lines[1:]] == ["int8-kl", "int8-minmax"]
    assert page.locator("#overview output").text_content() == "Copied: 2 rows as CSV."


def test_without_a_clipboard_the_text_is_selected(written, opened):
    page = opened(written[0])
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })")
    page.get_by_role("button", name="Copy as CSV").click()
    area = page.get_by_label("Text to copy")
    sync_api.expect(area).to_be_focused()
    assert page.evaluate("getSelection().toString()") == area.input_value() != ""


def test_the_theme_switch_changes_page_and_charts(written, opened):
    page = drawn(opened(written[0], color_scheme="light"))

    def look():
        background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        text = page.locator("#differences .mark-text.role-axis-label text").first.get_attribute("fill")
        return background, text

    light = look()
    page.locator("input[value=dark]").check(force=True)
    page.wait_for_selector("figure[data-chart=differences][data-drawn=dark]")
    dark = look()
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    page.reload()  # the choice is kept
    drawn(page)
    assert look() == dark
    page.locator("input[value=system]").check(force=True)
    page.wait_for_selector("figure[data-chart=differences][data-drawn=light]")
    assert look() == light


def test_paper_is_light_and_shows_everything(written, opened):
    page = drawn(opened(written[0], color_scheme="dark"))
    assert page.locator("figure[data-drawn=dark]").count() == page.locator("figure[data-chart]").count()
    page.emulate_media(media="print")
    drawn_light = page.locator("figure[data-drawn=light]")
    sync_api.expect(drawn_light).to_have_count(page.locator("figure[data-chart]").count())
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("button:visible").count() == page.locator("button.sort:visible").count()
    assert not page.locator("nav").is_visible()
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="screen")
    page.wait_for_selector("details:not([open])", state="attached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_tables_not_the_page(written, opened, scheme):
    page = drawn(opened(written[0], viewport={"width": 390, "height": 844}, color_scheme=scheme))
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert page.evaluate("document.querySelector('#overview .scroll').scrollWidth") > 390
    for figure in page.locator("figure[data-chart]").all():
        assert figure.bounding_box()["width"] <= 390


def test_the_keyboard_reaches_every_control(written, opened):
    address, _ = written
    page = drawn(opened(address))
    reached = []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("[document.activeElement.tagName, document.activeElement.type ?? '', "
                          "document.activeElement.textContent.trim()].join(' ')")
        )  # fmt: skip
        if reached[-1].startswith("BUTTON button accuracy"):
            break
    assert "INPUT radio " in reached
    assert "INPUT search " in reached
    assert "BUTTON button Copy as CSV" in reached
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('th').ariaSort") == "ascending"
    assert column(page, 1)[0] == "binarynet"


def test_headings_are_in_order_and_landmarks_are_there(written, opened):
    page = opened(written[0])
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("main").count() == page.locator("nav").count() == page.locator("header").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    names = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(names) == len(set(names))
    targets = page.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map((each) => each.hash.slice(1))")
    assert set(targets) <= set(names)


def test_charts_are_saved_for_paper(written, opened):
    page = drawn(opened(written[0], color_scheme="dark"))
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save the chart What is stored as SVG").click()
    assert waiting.value.suggested_filename == "memory.svg"
    text = waiting.value.path().read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "What is stored" in text
    assert 'fill="#ffffff"' in text
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save the chart What is stored as PNG").click()
    assert waiting.value.path().read_bytes().startswith(b"\x89PNG")


def test_hostile_names_are_text(hostile, opened):
    page = drawn(opened(hostile[0]))
    assert column(page, 1) == ["fp32", *HOSTILE]
    assert HOSTILE[2] in page.locator("h1").text_content()
    assert page.title().startswith(f"a sweep {HOSTILE[2]}")
    assert page.locator("img").count() == 0
    labels = page.locator("#memory .mark-text.role-axis-label text").all_text_contents()
    assert HOSTILE[0] in labels
    page.locator("#memory .mark-rect path").first.hover()
    tooltip = page.locator("#vg-tooltip-element")
    sync_api.expect(tooltip).to_be_visible()
    assert tooltip.locator("script, img").count() == 0
    for heading in page.locator("#overview thead button").all():
        heading.click()
    page.get_by_role("searchbox", name="Filter").fill("<script")
    assert set(column(page, 1)) == {name for name in HOSTILE if "<script" in name}


def test_scripts_off_leave_the_tables(written, opened):
    page = opened(written[0], java_script_enabled=False)
    assert page.locator("noscript").is_visible()
    assert page.locator("#overview tbody tr").count() == len(SCHEMES)
    assert not page.get_by_role("button", name="Copy as CSV").is_visible()


def test_what_a_row_of_the_widest_table_needs_said_stands_below_it(tmp_path, opened):
    sizes = {32: (0.80, 40), 64: (0.86, 150), 128: (0.94, 600)}
    made = [
        study({"fp32": (gain + accuracy, 9 * size, size), "binarynet": (accuracy, size, size / 9)},
              images=200, **{"model_options.hidden": units})
        for units, (accuracy, size) in sizes.items()
        for gain in [0.05]
    ]  # fmt: skip
    whole = replace(made[0], records=tuple(record for each in made for record in each.records), details={})
    model = make_report([whole])
    page = tmp_path / "report.html"
    page.write_text(render(model, make_views(model)), encoding="utf-8")
    tab = drawn(opened(page.as_uri()))
    notes = tab.locator("#equal-accuracy .notes li").all_inner_texts()
    assert any("binarynet: not reached at up to 128 units" in note for note in notes)
    assert not tab.locator("#equal-accuracy td", has_text="not reached").count()
