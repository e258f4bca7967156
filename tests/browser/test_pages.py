"""Pages in Chromium: nothing is loaded, nothing overflows, and they can be worked."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_overflows(opened, width):
    opened.set_viewport_size({"width": width, "height": 900})
    opened.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    loose = opened.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((each) =>
            !each.closest(".wide, dialog, a.large")
            && each.getBoundingClientRect().right > innerWidth + 1)
            .map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert loose == []


def test_tables_sort_by_a_click_and_by_the_keyboard(opened):
    table = opened.locator("table.numbers").first
    before = table.locator("tbody th").all_inner_texts()
    # The reverse of what is there, by the second column or the first.
    head = table.locator("thead th").first
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    up = table.locator("tbody th").all_inner_texts()
    assert sorted(up) == sorted(before)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert table.locator("tbody th").all_inner_texts() == up[::-1]
    assert up != up[::-1]


def test_numbers_sort_as_numbers_and_dashes_go_last(opened):
    table = opened.locator("table.numbers").first
    table.evaluate(
        """(table) => ["10 <span class=small>[9, 11]</span>", "–", "9.5", "−1", "2e-3"]
            .forEach((cell, place) => {
              const row = table.tBodies[0].rows[0].cloneNode(true);
              row.cells[1].innerHTML = cell;
              if (!place) table.tBodies[0].replaceChildren();
              table.tBodies[0].append(row);
            })"""
    )
    column = table.locator("tbody tr > :nth-child(2)")
    button = table.locator("thead th").nth(1).locator("button")
    button.click()
    found = [text.split()[0] for text in column.all_inner_texts()]
    assert found == ["−1", "2e-3", "9.5", "10", "–"]
    button.click()
    found = [text.split()[0] for text in column.all_inner_texts()]
    assert found == ["10", "9.5", "2e-3", "−1", "–"]


def test_a_figure_opens_large(opened):
    link, dialog = opened.locator("a.large").first, opened.locator("#large")
    small = link.locator("img").bounding_box()["width"]
    opened.set_viewport_size({"width": 400, "height": 800})
    assert not dialog.is_visible()
    link.click()
    assert dialog.is_visible()
    shown = dialog.locator("img")
    assert shown.get_attribute("alt") == link.locator("img").get_attribute("alt")
    assert shown.evaluate("image => image.naturalWidth") > small
    assert shown.evaluate("i => i.getBoundingClientRect().width == i.naturalWidth")
    opened.keyboard.press("Escape")
    assert not dialog.is_visible()
    link.focus()
    opened.keyboard.press("Enter")
    assert dialog.is_visible()
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_it_can_be_read_by_others_than_the_eye(opened):
    assert opened.evaluate("document.documentElement.lang") == "en"
    bad = opened.evaluate(
        """() => [
          ...[...document.querySelectorAll("main img")].filter((i) => !i.alt.trim()),
          ...[...document.querySelectorAll("thead th:not([scope=col]),"
            + "tbody th:not([scope=row])")],
          ...[...document.querySelectorAll("nav a")].filter((a) =>
            !document.querySelector(a.getAttribute("href"))),
        ].map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert bad == []
    link = opened.locator("nav a[href='#settings']")
    link.click()
    assert opened.locator("#settings").get_attribute("open") is not None


def test_print_has_all_of_it(opened):
    opened.emulate_media(media="print")
    # A4 less the margins, at 96 px an inch.
    opened.set_viewport_size({"width": 703, "height": 1000})
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.locator("main > details:not([open])").count() == 0
    cut = opened.evaluate(
        """() => [...document.querySelectorAll("table, img, p, dd")].filter((each) =>
            !each.closest("dialog") && each.getBoundingClientRect().right > 703 + 1)
            .map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert cut == []
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.locator("main > details[open]").count() == 0


def test_it_works_without_script(chromium, pages):
    context = chromium.new_context(java_script_enabled=False, offline=True)
    tab = context.new_page()
    tab.goto(pages["run"].as_uri())
    link = tab.locator("a.large").first
    link.click()
    assert tab.url.endswith(link.get_attribute("href"))
    assert tab.locator("table.numbers button").count() == 0
    assert tab.locator("table.numbers thead th").first.inner_text() == "Sparsity"
    context.close()
