"""What is written on the pages stands in one place, in each language."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from web.pages import PAGES
from web.texts import LANGUAGES, fill, language_of, load

STATIC = resources.files("web").joinpath("static")
FILES = {
    f"{folder.name}/{file.name}": file.read_text()
    for folder in STATIC.iterdir()
    if folder.is_dir() and folder.name != "vendor"
    for file in folder.iterdir()
    if file.name.endswith((".js", ".html"))
}
KEY = r"[a-z_]+\.[A-Za-z0-9_.]+"
COMPUTED = re.compile(r"`([a-z_]+\.(?:[a-z0-9_]+\.)*)\$\{|tOr\(\"([a-z_.]+\.)\"")
"""Where a key is put together: all that begin so are in use."""


def used(text):
    literal = set(re.findall(rf'"({KEY})"', text)) | set(re.findall(rf"\{{\{{({KEY})\}}\}}", text))
    return literal | {f"{page.area}.{name}" for page in PAGES for name in ("name", "title")}


def without_plural(key):
    return re.sub(r"(?<=\.)([a-z0-9_.]+)\.(?:zero|one|two|few|many|other)$", r"\1", key)


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_language_says_the_same(language):
    first, other = load(LANGUAGES[0]), load(language)
    assert {without_plural(key) for key in other} == {without_plural(key) for key in first}


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_language_has_a_place_for_the_same_values(language):
    def places(text):
        return set(re.findall(r"\{(\w+)\}", text))

    first, other = load(LANGUAGES[0]), load(language)
    assert [key for key in first.keys() & other.keys() if places(first[key]) != places(other[key])] == []


def test_every_text_is_in_use_and_every_key_has_a_text():
    texts = {without_plural(key) for key in load(LANGUAGES[0])}
    everything = "\n".join(FILES.values())
    keys = used(everything)
    prefixes = (*(a or b for a, b in COMPUTED.findall(everything)), "states.", "frame.lang")
    assert sorted(key for key in texts if key not in keys and not key.startswith(prefixes)) == []
    asked = set(re.findall(rf'\b[tn]\(\s*"({KEY})"', everything)) | set(re.findall(rf"\{{\{{({KEY})\}}\}}", everything))
    assert sorted(asked - texts) == []


def test_a_text_is_escaped():
    assert fill("<p>{{a.b}}</p>", {"a.b": "<b> & co"}) == "<p>&lt;b&gt; &amp; co</p>"


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"HTTP_ACCEPT_LANGUAGE": "it-IT,it;q=0.9,en;q=0.8"}, "it"),
        ({"HTTP_ACCEPT_LANGUAGE": "de,fr;q=0.5"}, "en"),
        ({"HTTP_ACCEPT_LANGUAGE": "en;q=0.2,it;q=0.7"}, "it"),
        ({"HTTP_ACCEPT_LANGUAGE": "it;q=0"}, "en"),
        ({"HTTP_ACCEPT_LANGUAGE": "it;q=x, ,;"}, "en"),
        ({"HTTP_COOKIE": "muster_lang=it", "HTTP_ACCEPT_LANGUAGE": "en"}, "it"),
        ({"HTTP_COOKIE": "muster_lang=../../it; x", "HTTP_ACCEPT_LANGUAGE": "it"}, "it"),
    ],
)
def test_the_language_is_the_one_chosen_or_liked_best(environ, language):
    assert language_of(environ) == language
