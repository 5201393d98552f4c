"""The two HTML pages in a real browser without a network: what a person clicks on is what she gets.

Skipped where no Chromium is installed; `apt-get install chromium` brings one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect, sync_playwright

from engine.config import load
from engine.diagrams import coverage, review
from engine.diagrams.coverage import Coverage, Source
from engine.diagrams.docs import Docs
from engine.story import page as story_page
from engine.story.story import Story
from engine.story.tape import open_tape
from engine.story.telling import Subject, tell
from engine.taken import Rows, Taken
from tests.hostile import hostile_scenario
from tests.scenario_files import DIRECTORY

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to open the pages in"),
    pytest.mark.slow,  # starts a browser and draws every machine
]
C01 = DIRECTORY / "c01_unequal_legs.toml"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def measured() -> Coverage:
    return coverage.of_scenarios([C01])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, docs: Docs, measured: Coverage) -> Path:
    path = tmp_path_factory.mktemp("review") / "review.html"
    path.write_text(review.page(docs, load(Path("config.toml")), measured), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def story() -> Story:
    return tell(open_tape(C01), Subject("zec"))


class Opened:
    """One page of a browser without a network, with everything that it asked for or complained."""

    def __init__(self, browser: Browser, path: Path) -> None:
        context = browser.new_context(viewport={"width": 1600, "height": 1000}, offline=True)
        self.page: Page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        self.page.goto(path.as_uri())

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Opened]:
    opened = Opened(browser, file)
    yield opened
    opened.close()
    assert opened.requests == [file.as_uri()], "the page needs nothing but itself"
    assert opened.complaints == []


# ---------------------------------------------------------------- the review page


def test_every_machine_is_a_picture_with_its_rows_below(opened: Opened, docs: Docs) -> None:
    page = opened.page
    expect(page.locator(".picture svg")).to_be_visible()
    for machine in docs.machines:
        page.locator(f"[data-tab={machine.name}]").click()
        expect(page.locator(f"#{machine.name}-state-{machine.initial}")).to_be_visible()
        expect(page.locator("#rows tr.row")).to_have_count(len(machine.rows))
        assert page.locator(".picture svg g.node").count() >= len(machine.states)


def test_a_click_on_a_row_shows_what_its_guards_ask(opened: Opened, docs: Docs) -> None:
    page, leg = opened.page, docs.machine("leg")
    row = next(row for row in leg.rows if row.guards and leg.callbacks[row.guards[0]].settings)
    page.locator("[data-tab=leg]").click()
    page.locator(f"#rows [data-row='{row.number}']").click()
    doc = page.locator(f"#right [data-doc={row.guards[0]}]")
    expect(doc).to_be_visible()
    expect(doc).to_have_text(leg.callbacks[row.guards[0]].doc)
    page.locator("#right summary").first.click()
    expect(page.locator("#right pre.source").first).to_be_visible()


def test_configured_values_stand_beside_their_keys(opened: Opened) -> None:
    page = opened.page
    page.goto(f"{opened.requests[0]}#leg/state/passive_limit")
    expect(page.locator("#right")).to_contain_text("close.passive_limit.timeout_s")
    timeout = load(Path("config.toml")).close.passive_limit.timeout_ns // 10**9
    expect(page.locator("#right .value").first).to_contain_text(str(timeout))


def test_a_click_on_an_arrow_and_on_a_state_of_the_picture_shows_their_rows(
    opened: Opened, docs: Docs
) -> None:
    page = opened.page
    page.locator("[data-tab=close]").click()
    page.locator("#close-arrow-1 text").first.click()
    expect(page.locator("#close-arrow-1.picked")).to_be_visible()
    expect(page.locator("#right h2").first).to_contain_text("1: ")
    page.locator("#close-state-reconciling text").click()
    expect(page.locator("#right h2").first).to_have_text("reconciling")
    state = docs.machine("close").state("reconciling")
    expect(page.locator("#right")).to_contain_text(state.meaning)


def test_a_row_says_how_often_it_was_taken_and_by_which_scenario(
    opened: Opened, docs: Docs, measured: Coverage
) -> None:
    page = opened.page
    close = docs.machine("close")
    row = next(row for row in close.rows if measured.count("close", row.number))
    never = next(r for r in close.rows if not measured.count("close", r.number))
    page.locator("[data-tab=close]").click()
    count = page.locator(f"#rows [data-row='{row.number}'] td.count")
    expect(count).to_have_text(str(measured.count("close", row.number)))
    expect(page.locator(f"#rows [data-row='{never.number}'] td.count")).to_have_text("never")
    page.locator(f"#rows [data-row='{row.number}']").click()
    page.locator("#right [data-chip='0']").click()
    expect(page.locator("#right h2").first).to_contain_text("C01 Unequal legs")
    expect(page.locator("#right dl")).to_contain_text("c01_unequal_legs.toml")


def test_rows_are_filtered_by_any_of_their_words(opened: Opened, docs: Docs) -> None:
    page = opened.page
    page.locator("[data-tab=order]").click()
    page.locator("input[type=search]").fill("contradicted missing")
    rows = [
        row
        for row in docs.machine("order").rows
        if row.trigger == "missing" and row.source == "contradicted"
    ]
    expect(page.locator("#rows tr.row")).to_have_count(len(rows))


def test_the_page_is_used_with_the_keyboard_and_by_its_address(opened: Opened) -> None:
    page = opened.page
    page.locator("[data-tab=session]").click()
    page.locator("#rows tr.row").nth(3).focus()
    page.keyboard.press("Enter")
    # The address follows the key a moment later.
    expect(page).to_have_url(re.compile("#session/row/3$"))
    page.go_back()
    expect(page).to_have_url(re.compile("#session$"))
    page.goto(f"{opened.requests[0]}#order/row/99999")
    expect(page.locator("#rows")).to_be_visible()


def test_the_first_page_leads_to_every_machine(opened: Opened, docs: Docs) -> None:
    page = opened.page
    expect(page.locator("#right .card")).to_have_count(len(docs.machines))
    page.locator("#overview-state-leg").click()
    expect(page.locator("#right h2").first).to_have_text("The leg machine")
    expect(page.locator(".key")).to_contain_text("double border ends")


def test_a_scenario_lists_the_rows_it_takes_with_its_own_counts(
    opened: Opened, docs: Docs, measured: Coverage
) -> None:
    page = opened.page
    page.locator("[data-tab=scenarios]").click()
    page.locator("[data-source='0']").focus()
    page.keyboard.press(" ")
    taken = {key: times for key, times in measured.sources[0].rows.items() if times}
    expect(page.locator("#right tr.row")).to_have_count(len(taken))
    # The page lists the widest machine first, the other way round than the documents do.
    machine, first = next(
        (machine, row)
        for machine in reversed(docs.machines)
        for row in machine.rows
        if (machine.name, row.number) in taken
    )
    count = page.locator("#right tr.row td.count").first
    expect(count).to_have_text(str(taken[machine.name, first.number]))
    page.locator("#right tr.row").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"#right [data-detail='{first.number}']")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#right h2").first).to_have_text(f"The {machine.name} machine")


def test_what_is_picked_is_explained_within_a_narrow_window(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size({"width": 800, "height": 1200})
    page.locator("[data-tab=close]").click()
    page.locator("#close-state-stuck text").click()
    expect(page.locator("#right h2").first).to_have_text("stuck")
    expect(page.locator("#right h2").first).to_be_in_viewport()


def test_a_page_of_one_machine_shows_who_its_neighbours_are(
    tmp_path: Path, browser: Browser, docs: Docs
) -> None:
    path = tmp_path / "review.html"
    leg = replace(docs, machines=(docs.machine("leg"),))
    path.write_text(review.page(leg, None, None, docs), encoding="utf-8")
    opened = Opened(browser, path)
    expect(opened.page.locator("#overview-state-close")).to_be_visible()
    opened.page.locator("#overview-state-leg").click()
    expect(opened.page.locator("#rows tr.row")).to_have_count(len(docs.machine("leg").rows))
    assert opened.complaints == []
    opened.close()


def test_a_journal_is_not_called_a_scenario(tmp_path: Path, browser: Browser, docs: Docs) -> None:
    journal = Coverage(
        judges=False, taken=Taken(), sources=[Source("j.db", "j.db", "", "", Rows())]
    )
    path = tmp_path / "review.html"
    path.write_text(review.page(docs, None, journal), encoding="utf-8")
    opened = Opened(browser, path)
    expect(opened.page.locator("nav button").last).to_have_text("journals")
    opened.page.goto(f"{path.as_uri()}#scenarios/file/0")
    expect(opened.page.locator("#right")).not_to_contain_text("rests on")
    assert opened.complaints == []
    opened.close()


def test_nothing_is_wider_than_a_narrow_window(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size({"width": 700, "height": 900})
    page.locator("[data-tab=close]").click()
    expect(page.locator(".picture svg")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 700


# ---------------------------------------------------------------- the page of a story


def test_a_story_is_a_picture_and_its_reasons_point_into_it(
    browser: Browser, story: Story, tmp_path: Path
) -> None:
    path = tmp_path / "c01.html"
    path.write_text(story_page.page(story), encoding="utf-8")
    opened = Opened(browser, path)
    page = opened.page
    expect(page.locator(".picture svg")).to_be_visible()
    expect(page).to_have_title(story.title)
    items = page.locator("li[data-at]")
    assert items.count() > 20
    cursor = page.locator(".picture svg > line").last
    places = []
    for item in (items.first, items.last):
        item.focus()
        assert cursor.get_attribute("visibility") == "visible"
        places.append(float(cursor.get_attribute("x1") or 0))
    assert places[0] < places[1]
    assert "/*" not in page.content().partition("<body>")[2], "every part was filled in"
    opened.close()
    assert opened.requests == [path.as_uri()]
    assert opened.complaints == []


# ---------------------------------------------------------------- texts of others


def test_no_text_of_a_recording_is_run(browser: Browser, docs: Docs, tmp_path: Path) -> None:
    scenario = hostile_scenario(tmp_path)
    told, rows = tmp_path / "story.html", tmp_path / "review.html"
    told.write_text(story_page.page(tell(open_tape(scenario), Subject("x"))), encoding="utf-8")
    counted = coverage.of_scenarios([scenario])
    rows.write_text(review.page(docs, None, counted), encoding="utf-8")
    for path, where in ((told, ""), (rows, "#scenarios/file/0")):
        opened = Opened(browser, path)
        opened.page.goto(path.as_uri() + where)
        expect(opened.page.locator("h1, #right h2").last).to_contain_text("<img src=q")
        assert opened.page.locator("img").count() == 0
        assert opened.page.evaluate("typeof attacked") == "undefined"
        opened.close()
        assert opened.requests[0] == path.as_uri()
        assert not any("src=q" in each or each.endswith("/q") for each in opened.requests)
        assert opened.complaints == []
