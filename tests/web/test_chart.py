"""Charts in a real browser: uPlot under the page's own rules, gaps, zoom, keyboard, light and dark."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.support.wait import eventually

BEGIN = 1_767_261_600  # 2026-01-01T10:00:00Z
STEP = 15

MOUNT = """
async ({ lines, marks, band, bucket, since, until }) => {
  const { SeriesChart } = await import("/static/core/chart.js");
  const { Range } = await import("/static/core/range.js");
  const place = document.createElement("section");
  place.className = "card";
  place.id = "here";
  document.querySelector("main").replaceChildren(place);
  const told = { lines, marks, bucket, since: since * 1000, until: until * 1000 };
  const range = new Range(place, () => window.asked.push(range.bounds()));
  window.asked = [];
  window.chart = new SeriesChart(place, { name: "pH", unit: "", band, onRange: (...zoom) => range.set(...zoom) });
  window.draw = (changes = {}) => chart.draw(Object.assign(told, changes));
  window.draw();
}
"""
LINE_PIXELS = """
(share) => {  // those of a blue line in the column at this share of the plot's width
  const canvas = document.querySelector("#here canvas");
  const [over, all] = [document.querySelector("#here .u-over"), canvas].map((e) => e.getBoundingClientRect());
  const x = Math.round((over.left - all.left + over.width * share) * (canvas.width / all.width));
  const copy = new OffscreenCanvas(1, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, -x, 0);
  const { data } = copy.getImageData(0, 0, 1, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && data[i + 2] > data[i] + 80) count += 1;
  return count;
}
"""


def points(*values, begin=BEGIN):
    """Buckets one after the other; None is an empty one."""
    return [
        [begin + STEP * index, value, value - 0.1, value + 0.2, 3]
        for index, value in enumerate(values)
        if value is not None
    ]


@pytest.fixture
def mount(site, page, console):
    page.goto(f"{site.url}/login?key=the-page-key")
    page.goto(f"{site.url}/scans")
    expect(page.locator("#live")).to_have_text("live")

    def show(*lines, marks=(), band=(6, 7), since=BEGIN, until=BEGIN + 11 * STEP):
        told = [{"name": f"bed {index}", "points": line} for index, line in enumerate(lines)]
        page.evaluate(
            MOUNT,
            {"lines": told, "marks": marks, "band": band, "bucket": STEP, "since": since, "until": until},
        )
        expect(page.locator("#here .u-over")).to_be_visible()
        return page

    yield show
    assert console == []


WHOLE = points(6.0, 6.1, 6.2, 6.3, None, None, None, 6.5, 6.6, 6.7, 6.8, 6.9)


def key(page):
    return page.locator("#here .key")


def test_a_chart_is_drawn_under_the_policy_of_the_page_and_axe_finds_nothing(mount):
    page = mount(WHOLE)
    expect(key(page)).to_contain_text("6.9")
    expect(key(page)).to_contain_text("(6.8 to 7.1, 3 readings)")
    expect(key(page)).to_contain_text("optimum 6 to 7")
    assert serious(page) == []
    page.emulate_media(color_scheme="dark")
    assert serious(page) == []


def test_a_gap_stays_a_gap_and_is_told_in_words(mount):
    page = mount(WHOLE)
    assert page.evaluate(LINE_PIXELS, 0.1) > 0
    assert page.evaluate(LINE_PIXELS, 0.45) == 0
    assert page.evaluate(LINE_PIXELS, 0.9) > 0
    summary = page.locator("#here .summary")
    expect(summary).to_contain_text("bed 0: last 6.9 at")
    expect(summary).to_contain_text("lowest 5.9, highest 7.1. 1 gap.")


def test_who_sends_less_often_than_there_are_buckets_has_no_gaps_by_that(mount):
    rare = [[BEGIN + 60 * index, 6.0 + index / 10, 6.0, 6.0, 1] for index in range(8)]
    page = mount(rare, until=BEGIN + 7 * 60)
    expect(page.locator("#here .summary")).not_to_contain_text("gap")
    assert page.evaluate(LINE_PIXELS, 0.55) > 0
    page = mount([point for index, point in enumerate(rare) if index not in (4, 5)], until=BEGIN + 7 * 60)
    expect(page.locator("#here .summary")).to_contain_text("1 gap.")


def test_a_point_alone_between_two_gaps_is_seen(mount):
    page = mount(points(6.0, 6.1, None, None, None, 6.5, None, None, None, 6.8, 6.9, 7.0))
    expect(page.locator("#here .summary")).to_contain_text("2 gaps.")
    assert page.evaluate(LINE_PIXELS, 5 / 11) > 0


def test_the_cursor_tells_the_values_with_the_time_in_both_zones(mount):
    page = mount(WHOLE, marks=[{"ts": BEGIN + 2 * STEP, "text": "pH is odd"}])
    box = page.locator("#here .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 2 / 11, box["y"] + 30)
    expect(key(page)).to_contain_text("10:00:30 UTC")
    expect(key(page)).to_contain_text("6.2")
    expect(key(page)).to_contain_text("▲ pH is odd")
    page.mouse.move(0, 0)
    expect(key(page)).to_contain_text("6.9")
    expect(key(page)).not_to_contain_text("pH is odd")


def test_the_arrow_keys_go_from_point_to_point_and_say_them(mount):
    page = mount(WHOLE, marks=[{"ts": BEGIN, "text": "pH is odd"}])
    plot = page.get_by_role("slider", name="Chart of pH")
    plot.focus()
    plot.press("Home")
    expect(plot).to_have_attribute("aria-valuenow", "0")
    assert "10:00:00 UTC, 6 (5.9 to 6.2, 3 readings)" in plot.get_attribute("aria-valuetext")
    assert "pH is odd" in plot.get_attribute("aria-valuetext")
    plot.press("ArrowRight")
    assert "10:00:15 UTC, 6.1" in plot.get_attribute("aria-valuetext")
    plot.press("End")
    assert "10:02:45 UTC, 6.9" in plot.get_attribute("aria-valuetext")
    plot.press("Escape")
    expect(key(page)).not_to_contain_text("UTC")


def test_a_drag_zooms_and_a_double_click_or_the_button_goes_back(mount):
    page = mount(WHOLE)
    box = page.locator("#here .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 2 / 11, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 6 / 11, box["y"] + 60, steps=3)
    page.mouse.up()
    (zoom,) = page.evaluate("asked")
    assert zoom["since"] / 1000 == pytest.approx(BEGIN + 2 * STEP, abs=1)
    assert zoom["until"] / 1000 == pytest.approx(BEGIN + 6 * STEP, abs=1)
    back = page.get_by_role("button", name="Zoom out")
    expect(back).to_be_visible()
    page.mouse.dblclick(box["x"] + 50, box["y"] + 50)
    expect(back).to_be_hidden()
    assert page.evaluate("asked.length") == 2
    assert page.evaluate("asked[1].until - asked[1].since") == 3_600_000


def test_a_chart_that_grows_keeps_its_zoom_and_its_cursor(mount):
    page = mount(WHOLE, since=BEGIN, until=BEGIN + 5 * STEP)
    plot = page.get_by_role("slider", name="Chart of pH")
    plot.focus()
    plot.press("Home")
    plot.press("ArrowRight")
    page.evaluate("window.canvas = document.querySelector('#here canvas')")
    grown = [{"name": "bed 0", "points": [*WHOLE, *points(9.0, begin=BEGIN + 12 * STEP)]}]
    page.evaluate("(lines) => draw({ lines })", grown)
    expect(key(page)).to_contain_text("10:00:15 UTC")
    assert page.evaluate("canvas === document.querySelector('#here canvas')")
    # What came lies after the part that is looked at: nothing of it is in sight, and the words tell only that part.
    expect(page.locator("#here .summary")).to_contain_text("highest 6.5")
    plot.press("End")
    assert "10:01:15 UTC, no reading" in plot.get_attribute("aria-valuetext")
    plot.press("ArrowLeft")
    assert "10:00:45 UTC, 6.3" in plot.get_attribute("aria-valuetext")


def test_several_lines_are_told_apart_by_name_and_dash_and_colour(mount):
    page = mount(*(points(*(6.0 + line / 10 + index / 50 for index in range(12))) for line in range(6)))
    samples = page.locator("#here .key line")
    expect(samples).to_have_count(6)
    looks = {(s.evaluate("e => e.style.stroke"), s.get_attribute("stroke-dasharray")) for s in samples.all()}
    assert len({colour for colour, _ in looks}) == len({dash for _, dash in looks}) == 6
    for line in range(6):
        expect(key(page)).to_contain_text(f"bed {line}")


def test_a_line_that_misses_a_bucket_of_the_other_is_not_torn(mount):
    page = mount(points(*[6.0] * 12), [[ts + 5, *rest] for ts, *rest in points(*[6.5] * 12)])
    expect(page.locator("#here .summary")).not_to_contain_text("gap")
    assert page.evaluate(LINE_PIXELS, 0.55) > 0


def test_a_gap_of_one_line_stays_a_gap_beside_a_whole_one(mount):
    page = mount(WHOLE, points(*[6.5] * 12))
    assert page.evaluate(LINE_PIXELS, 0.1) > 0
    assert [page.evaluate(LINE_PIXELS, share) for share in (0.32, 0.45, 0.6)] == [0, 0, 0]
    assert page.evaluate(LINE_PIXELS, 0.9) > 0


def test_light_becomes_dark_and_the_window_narrow(mount):
    page = mount(WHOLE)
    light = page.evaluate("document.querySelector('#here canvas').toDataURL()")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    eventually(
        lambda: page.evaluate("document.querySelector('#here canvas')?.toDataURL()") not in (None, light), what="dark"
    )
    page.set_viewport_size({"width": 360, "height": 700})
    eventually(lambda: page.evaluate("document.querySelector('#here canvas').clientWidth") < 360, what="a narrow chart")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_finger_that_goes_across_reads_the_values(mount):
    page = mount(WHOLE)
    page.locator("#here .u-over").evaluate(
        """(over) => {
          const { left, top, width } = over.getBoundingClientRect();
          const at = { pointerType: "touch", clientX: left + width, clientY: top + 20, bubbles: true };
          over.dispatchEvent(new PointerEvent("pointermove", { ...at, clientX: left + width / 11 }));
        }"""
    )
    expect(key(page)).to_contain_text("10:00:15 UTC")


def test_without_a_point_the_chart_says_so(mount):
    page = mount([])
    expect(page.locator("#here .summary")).to_contain_text("bed 0: nothing in this time.")


def test_the_buttons_choose_the_time_and_it_ends_now(mount):
    page = mount(WHOLE)
    page.get_by_role("button", name="24 h").click()
    expect(page.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="1 h", exact=True)).to_have_attribute("aria-pressed", "false")
    (asked,) = page.evaluate("asked")
    assert asked["until"] - asked["since"] == 86_400_000


def test_the_buckets_fit_the_time_and_all_pages_of_them_are_fetched(site, page, console):
    page.goto(f"{site.url}/login?key=the-page-key")
    site.face.history.rows["buckets"] = [
        {"ts_us": (BEGIN + 15 * index) * 1_000_000, "n": 2, "avg": index, "min": index - 1, "max": index + 1}
        for index in reversed(range(1500))
    ]
    told = page.evaluate(
        """async ([since, until]) => {
          const { loadSeries } = await import("/static/core/series.js");
          return loadSeries("pi-1", "pH", { since: since * 1000, until: until * 1000, points: 240 });
        }""",
        [BEGIN, BEGIN + 3600],
    )
    assert told["bucket"] == 15
    assert len(told["points"]) == 1500
    assert told["points"][0] == [BEGIN, 0, -1, 1, 2]
    assert told["points"] == sorted(told["points"])
