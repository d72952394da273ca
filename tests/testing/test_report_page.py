"""The overview's page as text: complete, well formed, escaped, failures first, nothing from outside."""

import re
from html import escape
from html.parser import HTMLParser

import pytest

from boltzgrad.testing.report import assets, page
from boltzgrad.testing.report.collection import Unread, read_folder
from boltzgrad.testing.report.records import STATES
from report_samples import HOSTILE, confirmed, every_kind, fill

VOID = {"meta", "br", "img", "link", "input"}


class Reader(HTMLParser):
    """Text, links and the heat map's cells; what is not well formed raises."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.tags, self.text, self.ids, self.fragments, self.outside = [], [], [], set(), [], []
        self.rows, self.attributes = [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.attributes.append(attributes)
        if tag not in VOID:
            self.stack.append(tag)
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.add(attributes["id"])
        for name, value in attributes.items():
            assert not name.startswith("on"), f"a handler: {name}"
            if name in {"src", "href", "srcset", "action", "data", "poster", "background"}:
                (self.fragments if value.startswith("#") else self.outside).append(value)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append((attributes, []))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if "script" in self.stack or "style" in self.stack:
            return
        self.text.append(data)
        if {"td", "th"} & set(self.stack):
            self.rows[-1][-1][1].append(data)

    @property
    def heat_map(self):
        """The cells of the first table, a list a row: (attributes, text)."""
        wide = len(self.rows[0])
        end = next((k for k, row in enumerate(self.rows) if len(row) != wide), len(self.rows))
        return [[(a, "".join(t)) for a, t in row] for row in self.rows[:end]]


def resources(text):
    """Everything in a page that a browser could load from outside."""
    found = Reader(text).outside + re.findall(r"@import|url\(|\bimport\(|\bfetch\(|XMLHttpRequest|WebSocket", text)
    shown = "".join(Reader(text).text)
    return found + [u for u in re.findall(r"https?://", text) if u not in shown]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("page"), every_kind())
    (folder / "z-corrupt.json").write_text('{"format": <b>', encoding="utf-8")
    return read_folder(folder)


@pytest.fixture(scope="module")
def html(collection):
    return page(collection)


@pytest.fixture(scope="module")
def reader(html):
    return Reader(html)


def test_one_self_contained_page(html, reader):
    assert html.startswith("<!doctype html>")
    assert resources(html) == []
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags
    assert "name='viewport' content='width=device-width, initial-scale=1'" in html


@pytest.mark.parametrize(
    "bad", ["<img src='https://example.com/a.png'>", "<style>@import 'a.css'</style>", "<p title='http://a'></p>"]
)
def test_what_would_be_loaded_from_outside_is_found(html, bad):
    assert resources(html.replace("</body>", f"{bad}</body>").replace(HOSTILE, "")) != []


def test_a_handler_or_an_open_element_is_found(html):
    for bad in ("<p onclick='x()'></p>", "<p>"):
        with pytest.raises(AssertionError):
            Reader(html.replace("</body>", f"{bad}</body>"))


def test_the_policy_allows_only_the_script_that_is_there(html):
    assert f"<script>{assets.SCRIPT}</script>" in html
    assert html.count(assets.policy()) == 1
    assert "default-src 'none'" in assets.policy()
    assert "script-src 'sha256-" in assets.policy()


def test_what_a_file_says_is_escaped(html, reader):
    assert "<script>document.title" not in html
    assert "<img src=https" not in html
    assert HOSTILE in "".join(reader.text)  # and it is all there
    assert any(HOSTILE in str(a.get("title")) for a in reader.attributes)


def test_the_verdict_and_the_failures_come_first(html, collection):
    order = [
        html.index(part)
        for part in (
            escape(collection.headline(), quote=True),
            "<h2>Failures",
            "<h2>Not read",
            "<h2>Problems and routes",
        )
    ]
    assert order == sorted(order)
    cards = re.findall(r"<section class='card.*?</section>", html, re.DOTALL)
    assert len(cards) == len(collection.failures) == 7
    for card, failure in zip(cards, collection.failures, strict=True):
        text = "".join(Reader(card).text)
        assert failure.problem in text
        assert failure.summary in text
        assert f"d = {len(failure.theta)}" in text
        assert f"{failure.value:.12g}" in text


def test_a_card_has_the_evidence(html, collection):
    k, failure = next((k, f) for k, f in enumerate(collection.failures) if f.name == "c-wrong")
    text = "\n".join(Reader(re.findall(r"<section class='card.*?</section>", html, re.DOTALL)[k]).text)
    wrong, slopes = failure.against
    for piece in ("covariance", "coordinate 17", f"{wrong.found:.12g}", f"{wrong.expected:.12g}", wrong.complaint):
        assert piece in text
    for piece in ("direction 1", f"{slopes.expected:.12g}", slopes.complaint, f"{wrong.difference:.3g}", "1e-09"):
        assert piece in text
    assert "unrolled: skipped; would take too long" in text
    assert "hpgd: failed; it did not converge" in text
    assert "unrolled-implicit: unfinished; not at rest after 10 sweeps" in text
    assert re.search(r"conic: cannot tell; worst \|Δ\| .* at coordinate 17, allowed ∞", text)


def test_a_model_that_is_wrong_and_a_gradient_of_nothing_say_so(html):
    cards = ["\n".join(Reader(c).text) for c in re.findall(r"<section class='card.*?</section>", html, re.DOTALL)]
    cut = next(c for c in cards if "i-cut" in c)
    assert "✗ model's derivative is wrong" in cut
    assert "the derivative of leader_reward[2, 1] along theta[3] is 0, and its slope 0.5" in cut
    nothing = next(c for c in cards if "j-zero" in c)
    assert "0 zero to rounding" in nothing
    assert "covariance: zero to rounding" in nothing


def test_a_kink_and_a_coarse_witness_say_so(html):
    cards = ["".join(Reader(c).text) for c in re.findall(r"<section class='card.*?</section>", html, re.DOTALL)]
    assert any("a kink at coordinate 3" in c and "not smooth" in c for c in cards)
    assert any("allowed 3.5e+00" in c and "conic: skipped; no solver" in c for c in cards)


def test_numbers_that_are_none_are_said_to_be_none(html):
    cards = ["\n".join(Reader(c).text) for c in re.findall(r"<section class='card.*?</section>", html, re.DOTALL)]
    nan = next(c for c in cards if "with-nan" in c)
    assert "this route\nnot finite" in nan


def test_the_corrupt_file_is_listed(html, collection):
    assert len(collection.unread) == 1
    assert "<strong>z-corrupt.json</strong>: not JSON" in html


def test_the_heat_map_has_every_verification_and_every_route(reader, collection):
    head, *rows = reader.heat_map
    routes = {r.route for v in collection.verifications for r in v.rows} - {"adjoint"}
    assert {t for _, t in head} == {"problem", "verdict", "d", "J", "seconds"} | routes
    assert len(rows) == len(collection.verifications)
    for row, v in zip(rows, collection.verifications, strict=True):
        assert row[0][1].startswith(v.problem)
        assert v.state in row[1][1]
        cells = {title: cell for (_, title), cell in zip(head, row, strict=True)}
        said = {r.route: r for r in v.rows}
        for route in routes:
            attributes, text = cells[route]
            if route not in said:
                assert (attributes, text) == ({}, "")
                continue
            assert said[route].verdict in attributes["title"]
            assert said[route].note in attributes["title"]
            relative = v.relative(said[route])
            assert attributes.get("data-sort") == (
                None if relative is None else str(relative).replace("inf", "Infinity")
            )


def test_marks_do_not_rely_on_colour(reader, collection):
    head, *rows = reader.heat_map
    k = [v.name for v in collection.verifications].index("c-wrong")
    cells = {title: text for (_, title), (_, text) in zip(head, rows[k], strict=True)}
    assert cells["covariance"] == "✗ -3"
    assert cells["conic"] == "? -7"
    assert (cells["unrolled"], cells["hpgd"], cells["implicit"]) == ("–", "!", "-12")
    texts = [text for row in rows for _, text in row]
    assert "∧" in texts
    assert "✗ ∞" in texts
    assert "=" in texts


def test_the_order_on_load_is_the_one_that_is_announced(reader):
    head, *rows = reader.heat_map
    assert [a.get("aria-sort") for a, _ in head] == [None, "ascending"] + [None] * (len(head) - 2)
    keys = [int(row[1][0]["data-sort"]) for row in rows]
    assert keys == sorted(keys)
    assert set(keys) == set(range(len(STATES)))


def test_every_verification_has_its_table(html, reader, collection):
    details = re.findall(r"<details>.*?</details>", html, re.DOTALL)
    assert len(details) == len(collection.verifications)
    for text, v in zip(details, collection.verifications, strict=True):
        shown = "\n".join(Reader(text).text)
        for piece in (v.problem, v.summary, v.size, v.solution, v.version, *(r.route for r in v.rows)):
            assert piece in shown
        assert all(r.note in shown for r in v.rows)
    assert {f[1:] for f in reader.fragments} <= reader.ids
    assert len(set(reader.fragments)) == len(details)


def test_without_failures_there_is_no_such_section(tmp_path):
    found = read_folder(fill(tmp_path, {"good": confirmed()}))
    assert found.ok
    text = page(found)
    assert "<h2>Failures" not in text
    assert "<h2>Not read" not in text
    assert "1 verification: 1 confirmed" in text
    unread = read_folder(tmp_path, unmade=(Unread("<i>x</i>", "<u>y</u>"),))
    assert "&lt;i&gt;x&lt;/i&gt;</strong>: &lt;u&gt;y" in page(unread)


def test_the_title_is_text(tmp_path):
    found = read_folder(fill(tmp_path, {"good": confirmed()}))
    assert "<h1>a &lt; b</h1>" in page(found, title="a < b")


def test_what_the_zoo_made_a_problem_from_is_shown(tmp_path):
    """Two of one name are told apart by more than their files; NumPy's numbers are no trouble."""
    import numpy as np

    import boltzgrad as bg

    for k, options in enumerate(({"observed": True, "n": np.int64(2)}, {})):
        problem = bg.problems.load("random-lqr", **options)
        report = bg.verify(problem, problem.initial_theta(seed=0), routes=["covariance"])
        (tmp_path / f"{k}.json").write_text(report.to_json(), encoding="utf-8")
    found = read_folder(tmp_path)
    assert [v.options for v in found.verifications] == ["observed = True, n = 2", ""]
    assert page(found).count("observed = True, n = 2") == 1
