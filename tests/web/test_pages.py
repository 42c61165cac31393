"""The pages are made of one frame, in the language of who asks."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlencode

import pytest

from tests.web.fakes import Client, make_face
from web.pages import PAGES
from web.texts import LANGUAGES, load

EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)


def path_of(page):
    return page.path.replace("<serial>", "pi-1")


@EACH_PAGE
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_leads_to_all_and_says_which_it_is(page, language):
    html = Client(make_face()).get(path_of(page), HTTP_ACCEPT_LANGUAGE=language).body.decode()
    texts = load(language)
    links = re.findall(r'<a href="([^"]+)" data-area="(\w+)"( aria-current="page")?>([^<]+)</a>', html)
    assert [(path, bool(here), name) for path, _, here, name in links] == [
        (other.path, other is page, texts[f"{other.area}.name"]) for other in PAGES if other.in_nav
    ]
    assert f'<html lang="{language}">' in html
    assert f"<title>{texts[f'{page.area}.title']}</title>" in html
    assert '<a class="skip" href="#main">' in html
    assert html.count(' id="main"') == 1
    assert "$" not in html
    assert "{{" not in html


@EACH_PAGE
def test_all_that_a_page_loads_is_there(page):
    client = Client(make_face())
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get(path_of(page)).body.decode())
    assert f"/static/{page.area}/page.js" in files
    assert [client.get(file).status for file in files] == [200] * len(files)


def test_a_page_has_a_strong_tag_and_is_sent_once():
    client = Client(make_face())
    first = client.get("/scans")
    assert client.get("/scans", HTTP_IF_NONE_MATCH=first.headers["ETag"]).status == 304
    assert client.get("/", HTTP_IF_NONE_MATCH=first.headers["ETag"]).status == 200
    assert client.get("/scans", HTTP_IF_NONE_MATCH=first.headers["ETag"], HTTP_ACCEPT_LANGUAGE="it").status == 200


@EACH_PAGE
def test_without_a_session_every_page_leads_to_the_login_which_knows_the_way_back(page):
    path = path_of(page)
    for token in (None, "the-device-token"):
        client = Client(make_face(), token=token)
        answer = client.get(path)
        way_back = f"?{urlencode({'next': path})}" if path != "/" else ""
        assert (answer.status, answer.headers["Location"]) == (303, f"/login{way_back}")
        answer = client.get(f"{path}?device=pi-1&q=a%20b")
        assert parse_qs(answer.headers["Location"].partition("?")[2]) == {"next": [f"{path}?device=pi-1&q=a%20b"]}
