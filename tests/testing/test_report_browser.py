"""The overview in a real browser: sorts, opens, loads nothing, fits a phone, and can be read in light and in dark."""

import hashlib
import re

import pytest

from boltzgrad.testing.report import page
from boltzgrad.testing.report.collection import read_folder
from report_samples import every_kind, fill
from tests_helpers import optional, optional_program

playwright = optional("playwright.sync_api")
CHROMIUM = optional_program("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000  # milliseconds after which something counts as hanging

# Every element with text of its own: its colour, the first ground behind it that is not transparent, its size.
SHOWN = """() => [...document.querySelectorAll("body, body *")].filter((e) =>
    !["SCRIPT", "STYLE"].includes(e.tagName) && (e.checkVisibility ? e.checkVisibility() : true) &&
    [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).map((e) => {
  const own = getComputedStyle(e), svg = e.namespaceURI.endsWith("svg");
  let ground = svg && e.classList.contains("heat") ? getComputedStyle(e.previousElementSibling).fill : null;
  for (let up = e; up && !ground; up = up.parentElement) {
    const colour = getComputedStyle(up).backgroundColor;
    if (!/^(transparent|rgba\\(0, 0, 0, 0\\))$/.test(colour)) ground = colour;
  }
  return {what: e.outerHTML.slice(0, 120), ink: svg ? own.fill : own.color, ground: ground || "rgb(255, 255, 255)",
          size: parseFloat(own.fontSize)};
})"""
ORDER = "() => [...document.querySelectorAll('#map tbody tr')].map((r) => r.cells[0].textContent)"
SORTED = """() => [...document.querySelectorAll('#map thead th[aria-sort]')].map((h) =>
    [h.textContent, h.getAttribute('aria-sort')])"""


def luminance(colour):
    """The relative luminance (WCAG 2) of an opaque `rgb(r, g, b)`."""
    assert colour.startswith("rgb("), colour
    parts = [float(x) / 255.0 for x in colour[4:-1].split(",")]
    r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(ink, ground):
    low, high = sorted((luminance(ink), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def unreadable(tab):
    """Texts whose contrast is below 4.5 : 1."""
    return [e for e in tab.evaluate(SHOWN) if contrast(e["ink"], e["ground"]) < 4.5]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("browser"), every_kind())
    (folder / "corrupt.json").write_text("{")
    return page(read_folder(folder))


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield found
        found.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a page's text in a new window; `tab.complaints` and `tab.requests` say what went on."""
    windows = []

    def visit(text, fragment="", **options):
        file = tmp_path / f"{hashlib.sha256(text.encode()).hexdigest()}.html"
        file.write_text(text, encoding="utf-8")
        window = browser.new_context(**options)
        windows.append(window)
        window.set_default_timeout(PATIENCE)
        tab = window.new_page()
        tab.complaints, tab.requests, tab.address = [], [], file.as_uri()
        tab.on("console", lambda message: tab.complaints.append(message.text))
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.on("request", lambda request: tab.requests.append(request.url))
        tab.goto(file.as_uri() + fragment)
        return tab

    yield visit
    for window in windows:
        window.close()


def until(tab, condition):
    """Wait for what a browser does after a click, however busy the machine is."""
    for _ in range(PATIENCE // 20):
        if condition():
            return
        tab.wait_for_timeout(20)
    assert condition()


def column(tab, label):
    """The numbers or words of a column from top to bottom, as they are sorted by (None where there are none)."""
    return tab.evaluate(
        """(label) => { const heads = [...document.querySelectorAll('#map thead th')];
        const k = heads.findIndex((h) => h.textContent === label);
        return [...document.querySelectorAll('#map tbody tr')].map((r) => r.cells[k].dataset.sort ?? null); }""",
        label,
    )


def press(tab, label):
    tab.locator("#map thead").get_by_role("button", name=label, exact=True).click()


def without_policy(html):
    """The page with nothing to keep outside resources away."""
    start = html.index('<meta http-equiv="Content-Security-Policy"')
    return html[:start] + html[html.index(">", start) + 1 :]


def test_nothing_is_loaded_and_nothing_is_complained_of(visit, html):
    tab = visit(html)
    tab.wait_for_load_state("networkidle")
    assert tab.requests == [tab.address]
    assert tab.complaints == []
    assert tab.title() == "Hypergradients held against their witnesses"  # the hostile name's script did not run


OUTSIDE = "<img src='https://example.invalid/x.png'>"


def test_a_request_and_a_complaint_would_be_seen(visit, html):
    tab = visit(without_policy(html).replace("</body>", f"{OUTSIDE}<script>missing()</script></body>"))
    tab.wait_for_load_state("networkidle")
    assert "https://example.invalid/x.png" in tab.requests
    assert any("missing" in c for c in tab.complaints)


def test_the_policy_stops_a_script_that_was_not_escaped(visit, html):
    bad = "<script>document.title = 'owned'</script></body>"
    assert visit(html.replace("</body>", bad)).title() != "owned"
    assert visit(without_policy(html).replace("</body>", bad)).title() == "owned"  # control


def test_failures_are_first_on_load(visit, html):
    tab = visit(html)
    states = column(tab, "verdict")
    assert states == sorted(states)
    assert states[0] == "0"
    assert tab.evaluate(SORTED) == [["verdict", "ascending"]]
    place = "(h) => [...document.querySelectorAll('h2')].find((e) => e.textContent === h).getBoundingClientRect().top"
    assert tab.evaluate(place, "Failures") < tab.evaluate(place, "Problems and routes")


@pytest.mark.parametrize("label", ["problem", "d", "J", "covariance", "1e-3", "verdict", "seconds"])
def test_a_heading_sorts_and_again_reverses(visit, html, label):
    tab = visit(html)
    if label == "verdict":
        press(tab, "problem")
    before = column(tab, label)
    press(tab, label)
    up, said = column(tab, label), tab.evaluate(SORTED)
    press(tab, label)
    down = column(tab, label)
    assert said == [[label, "ascending"]]
    assert tab.evaluate(SORTED) == [[label, "descending"]]

    def key(text):
        return text.casefold() if label == "problem" else float(text)

    there = [x for x in before if x is not None]
    missing = [None] * (len(before) - len(there))
    assert up == sorted(there, key=key) + missing
    assert [key(x) for x in down if x is not None] == sorted(map(key, there), reverse=True)
    assert down[len(there) :] == missing
    assert sorted(tab.evaluate(ORDER)) == sorted(visit(html).evaluate(ORDER))


def test_sorting_by_keyboard(visit, html):
    tab = visit(html)
    tab.locator("#map thead").get_by_role("button", name="d", exact=True).focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate(SORTED) == [["d", "ascending"]]
    tab.keyboard.press("Space")
    assert tab.evaluate(SORTED) == [["d", "descending"]]
    outline = "() => [getComputedStyle(document.activeElement).outlineStyle, document.activeElement.tagName]"
    assert tab.evaluate(outline) == ["solid", "BUTTON"]


@pytest.mark.parametrize("script", [True, False])
def test_a_link_opens_its_section(visit, html, script):
    tab = visit(html, java_script_enabled=script)
    link = tab.locator("#map tbody tr").nth(3).locator("th a")
    target = tab.locator(link.get_attribute("href"))
    assert not target.is_visible()
    link.click()
    until(tab, target.is_visible)
    assert tab.locator("details[open]").count() == 1
    until(tab, lambda: 0 <= target.bounding_box()["y"] < tab.viewport_size["height"])
    link.click()  # and again, once it was closed by hand
    tab.locator("details[open] summary").click()
    assert not target.is_visible()
    if script:
        link.click()
        until(tab, target.is_visible)


@pytest.mark.parametrize("script", [True, False])
def test_the_script_opens_sections_where_the_browser_does_not(visit, html, script):
    # A target outside of what is folded away is nothing that a browser opens by itself.
    moved, many = re.subn(
        r"<details>(<summary>.*?</summary><div class='full') id='(v\d+)'>",
        r"<details id='\2'>\1>",
        html,
        flags=re.DOTALL,
    )
    assert many == len(every_kind())
    tab = visit(moved, java_script_enabled=script)
    tab.locator("#map tbody tr").nth(3).locator("th a").click()
    if script:
        until(tab, tab.locator("#v3 .full").is_visible)
    else:
        tab.wait_for_timeout(200)
        assert not tab.locator("#v3 .full").is_visible()


def test_an_address_with_a_section_opens_it(visit, html):
    tab = visit(html, "#v2")
    assert tab.locator("#v2").is_visible()
    assert visit(html, "#nowhere").complaints == []
    assert visit(html, "#%E0%A4%A").complaints == []  # no proper escape


def test_without_script_everything_is_there(visit, html):
    tab = visit(html, java_script_enabled=False)
    assert tab.locator("#map tbody tr").count() == len(every_kind())
    assert tab.locator("#map button").count() == 0  # nothing to press that does nothing
    assert tab.locator("section.card").count() == 7
    tab.locator("details summary").first.click()
    assert tab.locator("details").first.locator("table").is_visible()
    assert tab.locator("details").count() == len(every_kind())


WIDTH = "() => [document.documentElement.scrollWidth, innerWidth]"
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def open_all(tab):
    tab.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")


def test_a_phone_never_scrolls_sideways(visit, html):
    tab = visit(html, **PHONE)
    open_all(tab)
    wide, there = tab.evaluate(WIDTH)
    assert wide <= there == 360
    inner = "() => { const s = document.querySelector('.scroll'); return [s.scrollWidth > s.clientWidth, s.tabIndex]; }"
    assert tab.evaluate(inner) == [True, 0]  # the table does, by itself, and by keyboard
    first = "() => document.querySelector('#map tbody th').getBoundingClientRect().left"
    before = tab.evaluate(first)
    tab.evaluate("() => { document.querySelector('.scroll').scrollLeft = 200; }")
    assert tab.evaluate(first) == before  # the names stay where they are
    assert min(e["size"] for e in tab.evaluate(SHOWN)) >= 12.0


def test_too_wide_a_page_and_too_small_a_text_would_be_seen(visit, html):
    tab = visit(html.replace("<h1>", "<p style='width:900px;font-size:9px'>wide</p><h1>"), **PHONE)
    wide, _ = tab.evaluate(WIDTH)
    assert wide > 360
    assert min(e["size"] for e in tab.evaluate(SHOWN)) < 12.0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(visit, html, scheme):
    tab = visit(html, color_scheme=scheme)
    open_all(tab)
    body = tab.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (luminance(body) < 0.05) == (scheme == "dark")
    shown = tab.evaluate(SHOWN)
    assert unreadable(tab) == []
    for part in (
        'class="heat agrees"',
        'class="heat disagrees"',
        'class="heat cannot-tell"',
        "<dd",
        "<small",
        "<summary",
    ):
        assert any(part in e["what"] for e in shown), part
    assert len({e["ground"] for e in shown}) > 12  # every colour of the scale was among them


def test_a_text_that_cannot_be_read_would_be_seen(visit, html):
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21.0)
    assert contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)") == pytest.approx(4.48, abs=0.01)
    tab = visit(html.replace("<h1>", "<p style='color:#b7791f;background:#ffffff'>faint</p><h1>"))
    assert [e["what"][:2] for e in unreadable(tab)] == ["<p"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_one_verification_can_be_read_too(visit, scheme):
    tab = visit(every_kind()["c-wrong"].to_html(), color_scheme=scheme)
    found = tab.evaluate(SHOWN)
    assert unreadable(tab) == []
    assert sum("<text" in e["what"] for e in found) > 20
