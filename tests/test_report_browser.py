"""Reports in a real Chromium: plots, filters, keys, colours, and that nothing is asked of any network.

The browser is Debian's (chromium, chromium-driver). Without it these tests are skipped, unless the environment variable
SIKED_BROWSER_TESTS is `required`, as in CI.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest

from siked_core.report.gathered import gather
from siked_core.report.page import page
from siked_core.report.written import write_comparison
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach
from siked_core.testing import toy_registry

pytestmark = pytest.mark.browser
CHROMIUM, DRIVER = (next(filter(None, map(shutil.which, names)), None)
                    for names in (("chromium", "chromium-browser"), ("chromedriver",)))  # fmt: skip
if not (CHROMIUM and DRIVER) and os.environ.get("SIKED_BROWSER_TESTS") != "required":
    pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)", allow_module_level=True)
WAIT_S = 120
HOSTILE = "</script><img src=x onerror=\"document.title='broken'\"><b>bold</b>"
CODE = "def solution():\n    pens = 12 + 7  # what she has\n    return pens"


def opened(run_folder: Path, name: str) -> Run:
    return attach(name, toy_registry(), SilentReporter(), runs=run_folder, lock=False)


@pytest.fixture(scope="module")
def folder(toy_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages: `one.html`, about a run, with a sample that a model wrote to break it; `both.html`; `large.html`."""
    made = tmp_path_factory.mktemp("pages")
    found = gather(opened(toy_runs, "whole"))
    first = pl.int_range(pl.len()) == 0
    samples = found.samples.with_columns(
        question=pl.when(first).then(pl.lit(HOSTILE)).otherwise("question"),
        rationale=pl.when(first).then(pl.lit(CODE)).otherwise("rationale"),
        text=pl.when(first).then(pl.lit(HOSTILE)).otherwise("text"),
    )
    with patch.dict("siked_core.report.payload._CODE", {"same_text": "python"}):  # toys have no strategy of programs
        (made / "one.html").write_bytes(page([replace(found, samples=samples)])[0])
    write_comparison(opened(toy_runs, "whole"), opened(toy_runs, "other"), made / "both.html")
    many = pl.concat([found.samples] * (50_000 // found.samples.height + 1)).head(50_000).with_row_index("n")
    many = many.with_columns(
        key=pl.col("n").cast(pl.String).str.zfill(32),
        problem_id=pl.format("{}-{}", "problem_id", pl.col("n") // 9),
        rationale=pl.format("Step {} of a long rationale. {}", "n", pl.lit("It goes on and on. " * 20)),
    ).drop("n")
    (made / "large.html").write_bytes(page([replace(found, samples=many, drawn=60_000)])[0])
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,1000"),
        "--force-prefers-reduced-motion",  # a click must not meet a page that is scrolling
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(WAIT_S)
    yield driver
    driver.quit()


@pytest.fixture
def show(browser: Any, folder: Path) -> Iterator[Callable[[str], Any]]:
    """Open a page and wait for its samples; at the end, nothing was complained of and nothing asked of a network."""
    from selenium.webdriver.support.ui import WebDriverWait

    def opened_page(name: str) -> Any:
        browser.get("about:blank")
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        browser.get((folder / name).as_uri())
        WebDriverWait(browser, WAIT_S).until(
            lambda one: one.execute_script("return document.documentElement.dataset.samples") == "ready"
        )
        return browser

    yield opened_page
    assert [line for line in browser.get_log("browser") if line["level"] in ("WARNING", "SEVERE")] == []
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:", "chrome:"))] == []
    assert [url for url in asked if url.startswith("file:")] == [browser.current_url.partition("#")[0]]


def script(browser: Any, code: str, *arguments: Any) -> Any:
    return browser.execute_script(code, *arguments)


def count(browser: Any) -> str:
    return str(script(browser, "return document.getElementById('count').textContent"))


def until(browser: Any, condition: Callable[[Any], Any]) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, WAIT_S).until(condition)


def draw_all(browser: Any, colours: str) -> None:
    """Scroll through the page until every plot is drawn in these colours."""
    plots = "[...document.querySelectorAll('[data-figure]')]"
    for place in range(script(browser, f"return {plots}.length")):
        script(browser, f"{plots}[arguments[0]].scrollIntoView({{behavior: 'instant'}})", place)
        until(browser, lambda one, at=place: script(one, f"return {plots}[{at}].dataset.drawn") == colours)


def test_every_plot_is_drawn_and_follows_the_theme(show: Callable[[str], Any], tmp_path: Path) -> None:
    browser = show("one.html")
    draw_all(browser, "light")
    narrow = "p => p.querySelector('svg, canvas').getBoundingClientRect().width < 150"
    assert script(browser, f"return [...document.querySelectorAll('[data-figure]')].filter({narrow}).length") == 0
    light = script(browser, "return getComputedStyle(document.body).backgroundColor")
    shot = tmp_path / "light.png"
    assert browser.save_screenshot(str(shot))
    browser.find_element("id", "theme").click()
    draw_all(browser, "dark")
    assert script(browser, "return getComputedStyle(document.body).backgroundColor") != light
    assert browser.save_screenshot(str(tmp_path / "dark.png"))
    assert shot.read_bytes() != (tmp_path / "dark.png").read_bytes()
    described = "p => (p.querySelector('[role=graphics-document]').getAttribute('aria-label') ?? '').length > 20"
    assert script(browser, f"return [...document.querySelectorAll('[data-figure]')].every({described})")
    script(browser, "document.querySelector('#figure-accuracy > details > summary').click()")
    assert "round-0" in browser.find_element("css selector", "#figure-accuracy table").text


def test_the_theme_of_the_system_is_followed(show: Callable[[str], Any], browser: Any) -> None:
    wish = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
    try:
        show("one.html")
        assert script(browser, "return document.documentElement.dataset.theme") == "dark"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_samples_are_filtered_by_strategy_verdict_round_and_text(show: Callable[[str], Any]) -> None:
    from selenium.webdriver.support.ui import Select

    browser = show("one.html")
    total = int(count(browser).split()[0])
    Select(browser.find_element("id", "filter-strategy")).select_by_visible_text("loud")
    loud = int(count(browser).split()[0])
    assert 0 < loud < total
    Select(browser.find_element("id", "filter-status")).select_by_visible_text("correct")
    assert "(100.0 %)" in count(browser)
    Select(browser.find_element("id", "filter-round")).select_by_visible_text("1")
    assert int(count(browser).split()[0]) < loud
    shown = browser.find_elements("css selector", "#list [role=option]")
    assert shown
    assert all("loud" in one.text and "correct" in one.text for one in shown)
    browser.find_element("css selector", "#filters button[type=reset]").click()
    until(browser, lambda one: int(count(one).split()[0]) == total)
    browser.find_element("id", "filter-text").send_keys("WHAT SHE HAS")
    until(browser, lambda one: count(one).startswith("1 of"))
    browser.find_element("id", "filter-text").send_keys(" not there")
    until(browser, lambda one: count(one) == "No sample fits these filters.")


def test_a_sample_is_chosen_by_keys_and_shown_as_text(show: Callable[[str], Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = show("one.html")
    title = browser.title
    box = browser.find_element("id", "list")
    box.send_keys(Keys.ARROW_DOWN)
    detail = browser.find_element("id", "detail")
    assert HOSTILE in detail.text
    assert "what she has" in detail.text
    assert not detail.find_elements("css selector", "img, b, script")
    assert "Answer found" in detail.text
    assert "siked why" in detail.text
    first = box.get_attribute("aria-activedescendant")
    box.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert box.get_attribute("aria-activedescendant") != first
    assert browser.find_element("css selector", "#list [aria-selected=true]").get_attribute("aria-posinset") == "3"
    box.send_keys(Keys.END)
    last = browser.find_element("css selector", "#list [aria-selected=true]")
    assert last.get_attribute("aria-posinset") == last.get_attribute("aria-setsize")
    box.send_keys(Keys.HOME, Keys.ENTER)
    assert script(browser, "return document.activeElement.id") == "detail"
    assert browser.current_url.partition("#sample-")[2]
    box.send_keys(Keys.ARROW_DOWN)
    others = detail.find_elements("css selector", "ul button")
    assert others[0].get_attribute("aria-current") == "true"
    others[-1].click()
    assert detail.find_elements("css selector", "ul button")[-1].get_attribute("aria-current") == "true"
    assert browser.title == title


def test_code_is_highlighted(show: Callable[[str], Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = show("one.html")
    browser.find_element("id", "list").send_keys(Keys.ARROW_DOWN)
    coloured = "return [...document.querySelectorAll('#detail pre .' + arguments[0])].map(one => one.textContent)"
    assert script(browser, coloured, "k")[:2] == ["def", "return"]
    assert script(browser, coloured, "n") == ["12", "7"]
    assert script(browser, coloured, "c") == ["# what she has"]
    assert script(browser, "return document.querySelector('#detail pre').textContent") == CODE


def test_fifty_thousand_samples_answer_at_once(show: Callable[[str], Any]) -> None:
    browser = show("large.html")
    assert count(browser).startswith("50,000 of 50,000 samples")
    assert "10,000 are left out of this page" in browser.find_element("css selector", "#samples p").text
    search = """
        const began = performance.now();
        document.getElementById('filter-text').value = arguments[0];
        document.getElementById('filters').dispatchEvent(new Event('change'));
        return performance.now() - began;
    """
    script(browser, search, "made ready by the first")
    times = sorted(script(browser, search, text) for text in ("step 4999", "goes on", "nowhere", "step 1", "long"))
    assert times[2] < 1000, times  # 50 to 250 ms each on busy cores
    script(browser, search, "step 49999 of")
    assert count(browser).startswith("1 of 50,000")
    script(browser, search, "")
    script(browser, "document.getElementById('list').scrollTop = 1e9")
    until(browser, lambda one: script(one, "return !!document.querySelector('[aria-posinset=\"50000\"]')"))
    assert len(browser.find_elements("css selector", "#list [role=option]")) < 60


def test_two_runs_share_a_browser_of_samples(show: Callable[[str], Any]) -> None:
    from selenium.webdriver.support.ui import Select

    browser = show("both.html")
    draw_all(browser, "light")
    total = int(count(browser).split()[0])
    Select(browser.find_element("id", "filter-run")).select_by_visible_text("B other")
    assert 0 < int(count(browser).split()[0]) < total


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_people_out(show: Callable[[str], Any], colours: str) -> None:
    import axe_core_python
    from selenium.webdriver.common.keys import Keys

    browser = show("one.html")
    if colours == "dark":
        browser.find_element("id", "theme").click()
    draw_all(browser, colours)
    browser.find_element("id", "list").send_keys(Keys.ARROW_DOWN)
    script(browser, (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done, e => done(String(e)))"
    )
    told = [(one["id"], one["help"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found["violations"]]
    assert told == []
