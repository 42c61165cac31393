"""The pages are made of one frame."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlencode

import pytest

from tests.web.fakes import Client, make_face
from web.pages import PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_page_leads_to_all_and_says_which_it_is(page):
    html = Client(make_face()).get(page.path).body.decode()
    links = re.findall(r'<a href="([^"]+)"( aria-current="page")?>(\w+)</a>', html)
    assert [(path, bool(here), name) for path, here, name in links] == [
        (other.path, other is page, other.name) for other in PAGES
    ]
    assert f"<title>{page.title}</title>" in html
    assert f'<a class="skip" href="#{page.skip[0]}">' in html
    assert f'id="{page.skip[0]}"' in html
    assert "$" not in html


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_all_that_a_page_loads_is_there(page):
    client = Client(make_face())
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get(page.path).body.decode())
    assert f"/static/{page.script}" in files
    assert [client.get(file).status for file in files] == [200] * len(files)


def test_a_page_has_a_strong_tag_and_is_sent_once():
    client = Client(make_face())
    first = client.get("/scans")
    assert client.get("/scans", HTTP_IF_NONE_MATCH=first.headers["ETag"]).status == 304
    assert client.get("/", HTTP_IF_NONE_MATCH=first.headers["ETag"]).status == 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_without_a_session_every_page_leads_to_the_login_which_knows_the_way_back(page):
    for token in (None, "the-device-token"):
        client = Client(make_face(), token=token)
        answer = client.get(page.path)
        way_back = f"?{urlencode({'next': page.path})}" if page.path != "/" else ""
        assert (answer.status, answer.headers["Location"]) == (303, f"/login{way_back}")
        answer = client.get(f"{page.path}?device=pi-1&q=a%20b")
        assert parse_qs(answer.headers["Location"].partition("?")[2]) == {"next": [f"{page.path}?device=pi-1&q=a%20b"]}
