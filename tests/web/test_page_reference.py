"""The page of the API in a real browser, on a real server, over fakes."""

from __future__ import annotations

import json
import re
import subprocess

import msgspec
import pytest
from playwright.sync_api import expect

from tests.support.axe import serious
from tests.support.need import need
from tests.web.fake_enrolments import asker
from tests.web.fakes import view
from tests.web.test_openapi import API
from web.reference import TAGS
from web.routes_events import EVENT_KINDS

BY_OPERATION = {route.operation: route for route in API}
WRONG = {"400", "405", "411", "415", "422", "428", "500"}
"""Statuses of a request that was not understood."""

EXAMPLES = """[...document.querySelectorAll('.operation')].map(
  (each) => [each.id, each.querySelector('.told pre').textContent],
)"""


@pytest.fixture
def shown(site, page):
    def show(hash_="", token="the-page-key"):
        page.goto(f"{site.url}/login?key={token}")
        page.goto(f"{site.url}/reference{hash_}")
        expect(page.locator("#found")).to_have_text(re.compile("operations|operazioni"))
        expect(page.locator("#live")).to_have_text(re.compile("live|diretta"))
        return page

    return show


def operation(page, name):
    return page.locator(f"details#{name}")


def examples(page):
    """The example of every operation, by its name."""
    page.evaluate("document.querySelectorAll('.operation').forEach((each) => { each.open = true; })")
    last = page.locator(".operation").last
    expect(last.locator(".told pre")).to_be_attached()
    return dict(page.evaluate(EXAMPLES))


def test_every_operation_is_told_in_its_group(shown, console):
    page = shown()
    assert page.title() == "Muster: API reference"
    expect(page.locator("#found")).to_have_text(f"{len(API)} operations")
    assert set(page.evaluate("[...document.querySelectorAll('.operation')].map(({ id }) => id)")) == set(BY_OPERATION)
    expect(page.locator("#operations h2")).to_have_text([tag.name for tag in TAGS])
    expect(page.get_by_role("link", name="the contract as OpenAPI 3.1")).to_have_attribute("href", "/api/openapi.json")
    assert console == []


def test_an_operation_tells_method_path_role_fields_and_answers(shown, console):
    page = shown()
    make = operation(page, "post_api_tokens")
    expect(make.locator("summary")).to_contain_text("POST/api/tokensadmin")
    make.locator("summary").click()
    expires = make.locator("tbody tr", has_text="expires_in").first
    expect(expires).to_contain_text("number or null")
    expect(expires).to_contain_text("Seconds; without it the token is valid until it is revoked.")
    expect(expires).to_contain_text("above 0, at most 315,360,000")
    expect(make.locator("tbody tr", has_text="role").first).to_contain_text("required")
    expect(make.locator(".told")).to_contain_text("201 Done.")
    expect(make.locator(".example pre")).to_contain_text('curl -s -X POST -H "$auth" "$url/api/tokens" -d')
    nested = operation(page, "post_api_rollouts")
    nested.locator("summary").click()
    share = nested.locator('th[title="waves[].share"]').first
    expect(share).to_be_visible()
    assert share.evaluate("e => e.parentElement.style.getPropertyValue('--depth')") == "1"
    assert console == []


def test_a_tree_that_has_trees_in_it_is_told_once(shown):
    page = shown("#get_api_supervision")
    tree = operation(page, "get_api_supervision")
    expect(tree.locator('th[title="children"]')).to_be_visible()
    assert tree.locator('th[title="children[].path"]').count() == 0


def test_the_stream_tells_the_fields_of_each_kind_of_event(shown):
    page = shown("#get_api_events")
    stream = operation(page, "get_api_events")
    expect(stream.locator("h4")).to_have_text(list(EVENT_KINDS), use_inner_text=True)
    expect(stream.locator(".example pre")).to_contain_text("curl -sN")


def test_a_link_leads_to_its_operation_and_opening_one_makes_the_link(shown):
    page = shown("#get_api_devices")
    devices = operation(page, "get_api_devices")
    expect(devices.locator(".told")).to_contain_text("List devices")
    expect(devices).to_be_in_viewport()
    operation(page, "get_api_sites").locator("summary").click()
    expect(page).to_have_url(re.compile("#get_api_sites$"))
    page.evaluate("location.hash = '#post_api_scans'")
    expect(operation(page, "post_api_scans").locator(".told")).to_contain_text("symbology")


def test_what_is_sought_is_found_by_path_field_or_word(shown):
    page = shown()
    search = page.get_by_label("Path, field or word")
    search.fill("POST /api/tokens")
    expect(page.locator("#found")).to_have_text("1 operation")
    expect(operation(page, "post_api_tokens")).to_be_visible()
    expect(page.locator("#groups li:visible")).to_have_text(["Tokens and sessions"])
    search.fill("retire-shared")
    expect(operation(page, "post_api_access_retire_shared")).to_be_visible()
    search.fill("silent_after")  # a field of a field of a body
    expect(operation(page, "post_api_rollouts")).to_be_visible()
    search.fill("no such thing")
    expect(page.locator("#none")).to_be_visible()
    page.evaluate("location.hash = '#get_api_sites'")
    expect(operation(page, "get_api_sites")).to_be_in_viewport()
    expect(search).to_have_value("")


def test_it_can_be_used_by_the_keyboard(shown):
    page = shown()
    first = page.locator(".operation summary").first
    first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".operation").first.locator(".told h3").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".operation").first.locator("pre")).to_be_focused()


def test_an_example_is_copied(shown):
    page = shown("#get_api_sites")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the example of get_api_sites").click()
    expect(operation(page, "get_api_sites").locator(".copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == 'curl -s -H "$auth" "$url/api/sites"'


def test_every_example_is_of_its_route_with_its_parameters_and_a_body_of_its_type(shown):
    lines = examples(shown())
    assert set(lines) == set(BY_OPERATION)
    for name, line in lines.items():
        route = BY_OPERATION[name]
        found = re.match(r"curl -sN?(?: -X (\w+))?(?: -H \"\$auth\")? \"\$url(/[^\s?\"]*)(?:\?([^\"]*))?\"(.*)$", line)
        assert found, line
        method, path, query, rest = found.groups()
        assert (method or "GET") == route.method, line
        pattern = re.sub(r"<\w+:path>", ".+", route.path)
        pattern = re.sub(r"<\w+(?::re:([^>]*))?>", lambda variable: variable[1] or "[^/]+", pattern)
        assert re.fullmatch(pattern, path), line
        assert {pair.partition("=")[0] for pair in (query or "").split("&") if pair} <= set(route.query), line
        if route.body is not None:
            msgspec.convert(json.loads(re.search(r" -d '(.*)'$", rest)[1].replace("'\\''", "'")), route.body)


def test_examples_can_be_pasted_into_a_shell(site, shown):
    curl = need("curl")
    site.face.fleet.put(view("pi-7"))
    site.face.enrolments.rows["pi-7"] = asker("pi-7")
    page = shown()
    lines = examples(page)
    asked = [name for name, line in lines.items() if name != "get_api_events" and "FILE" not in line]
    begin = page.locator("#begin").inner_text().replace("TOKEN", "the-admin-token")
    told = f"{curl} -s -o /dev/null -w %{{http_code}}"
    script = [begin, *(f"{lines[name].replace('curl -s', told, 1)}; echo ' {name}'" for name in asked)]
    done = subprocess.run(["/bin/sh"], input="\n".join(script), capture_output=True, text=True, timeout=120, check=True)
    statuses = dict(reversed(line.split()) for line in done.stdout.splitlines())
    assert set(statuses) == set(asked)
    assert {name: status for name, status in statuses.items() if status in WRONG} == {}
    refused = {name for name, status in statuses.items() if status in ("401", "403")}
    assert refused <= {"post_api_login", "post_api_register_device"}  # the secrets of these examples are nobody's


def test_on_paper_all_that_is_found_is_told(shown):
    page = shown()
    page.get_by_label("Path, field or word").fill("dead-letters")
    expect(page.locator("#found")).not_to_have_text(f"{len(API)} operations")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    for row in page.locator(".operation:visible").all():
        expect(row.locator(".told h3").first).to_be_visible()
    expect(page.locator(".top")).to_be_hidden()
    assert page.locator("#get_api_devices[open]").count() == 0


def test_it_can_be_used_by_everybody_at_every_width_and_in_italian(shown, page, console):
    page.set_extra_http_headers({"Accept-Language": "it"})
    shown("#post_api_rollouts")
    expect(page.locator("#post_api_rollouts")).to_contain_text("obbligatorio")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert serious(page) == []
    examples(page)
    for width in (1280, 768, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert console == []
