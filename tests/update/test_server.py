"""What an updater asks and downloads, over real HTTP."""

from __future__ import annotations

import contextlib
import hashlib

import pytest

from actors.uplink.poster import ServerAddress
from edge.update.download import Download
from edge.update.file import Offer, Report
from edge.update.server import GoneError, NoServerError, RefusedError, UnreachableError, UpdateServer
from tests.support.ports import free_port
from tests.update import pi as pi_module
from tests.update.pi import SERIAL

CONTENT = bytes(range(256)) * 2000
OFFER = Offer(version="2.0", release="r/2 ?", size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def shop():
    with pi_module.UpdateServer() as made:
        made.tokens[SERIAL] = "a-token"
        made.release = CONTENT
        yield made


@pytest.fixture
def lost():
    return []


@pytest.fixture
def server(shop, lost):
    made = UpdateServer(lambda: ServerAddress(shop.url, "a-token"), lambda: lost.append(1))
    yield made
    made.close()


@pytest.fixture
def download(server, tmp_path):
    with contextlib.ExitStack() as stack:

        def make(rate=0, **options):
            made = Download(server, OFFER, tmp_path / "download" / "x.part", rate, **options)
            stack.callback(made.close)
            made.begin()
            return made

        yield make


def finish(download):
    while not download.is_complete:
        download.step()
    download.step()
    return download.path.read_bytes()


def answer(shop, status, **headers):
    """Answer every request of the updates with a status."""

    def serve(request):
        request.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        return True

    shop.serve = serve


def test_a_download_is_what_the_server_has(download):
    assert finish(download()) == CONTENT


def test_a_download_goes_on_where_an_earlier_run_has_ended(download, shop):
    shop.cut_after = 70_000
    first = download()
    with pytest.raises(UnreachableError):
        finish(first)
    first.close()
    second = download()
    assert (second.done, second.progress) == (70_000, round(70_000 / len(CONTENT), 3))
    assert finish(second) == CONTENT
    assert shop.ranges == ["", "bytes=70000-"]


def test_what_else_lies_there_is_removed_and_what_is_too_long_begins_anew(download, tmp_path):
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "other.part").touch()
    (tmp_path / "download" / "x.part").write_bytes(b"x" * (len(CONTENT) + 1))
    made = download()
    assert made.done == 0
    assert [path.name for path in (tmp_path / "download").iterdir()] == ["x.part"]


def test_a_server_that_knows_no_ranges_sends_all_of_it_again(download, shop, tmp_path, monkeypatch):
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "x.part").write_bytes(b"x" * 1000)
    send = shop._send_release
    monkeypatch.setattr(
        shop, "_send_release", lambda request: (request.headers.replace_header("Range", ""), send(request))
    )
    assert finish(download()) == CONTENT


def test_a_step_takes_no_more_than_the_rate_and_waits_for_the_rest(download):
    made = download(rate=40_000, now=lambda: 0.0)
    assert made.step() == pytest.approx(0.25)
    assert made.done == 10_000


def test_a_disk_without_room_for_the_rest_is_full_before_anything_is_asked(download, monkeypatch):
    monkeypatch.setattr("edge.update.download.shutil.disk_usage", lambda _path: type("U", (), {"free": 10}))
    with pytest.raises(OSError, match="No space left"):
        download()


@pytest.mark.parametrize(("status", "error"), [(404, GoneError), (410, GoneError), (401, UnreachableError)])
def test_a_download_that_is_refused_is_told_apart(download, shop, status, error):
    answer(shop, status)
    with pytest.raises(error):
        download().step()


def test_a_busy_server_says_when(download, shop):
    answer(shop, 503, Retry_After="42")
    with pytest.raises(UnreachableError) as refused:
        download().step()
    assert refused.value.retry_after == 42.0


def test_a_redirection_is_not_followed(download, shop, server):
    answer(shop, 302, Location="http://127.0.0.1:9/elsewhere")
    with pytest.raises(UnreachableError):
        download().step()
    with pytest.raises(UnreachableError):
        server.check("1.0")


def test_an_offer_says_what_there_is_and_nothing_else_is_believed(server, shop):
    shop.offer = {
        "update": True,
        "version": "2.0",
        "release": "r",
        "size": 10,
        "sha256": "a" * 64,
        "url": "http://evil/",
    }
    assert server.check("1.0") == Offer(version="2.0", release="r", size=10, sha256="a" * 64)
    assert server.check("2.0") == "none"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "../x"},
        {"sha256": "../../etc/passwd"},
        {"size": 0},
        {"size": 10**12},
        {"release": ""},
        {"size": "1"},
    ],
)
def test_an_offer_that_cannot_be_is_none(server, shop, changes):
    shop.offer = {"update": True, "version": "2.0", "release": "r", "size": 10, "sha256": "a" * 64} | changes
    with pytest.raises(UnreachableError, match="its offer cannot be read"):
        server.check("1.0")


def test_what_is_told_has_what_the_contract_names(server, shop):
    assert server.report(Report(state="confirming", version="2.0", nonce="n", rollout="ro"))
    assert not server.report(Report(state="refused", version="2.0", reason="older", detail="why"))
    assert shop.told == [
        {"state": "confirming", "version": "2.0", "nonce": "n", "rollout": "ro"},
        {"state": "refused", "version": "2.0", "reason": "older", "detail": "why"},
    ]


@pytest.mark.parametrize(
    ("status", "error"), [(400, RefusedError), (422, RefusedError), (401, UnreachableError), (500, UnreachableError)]
)
def test_only_what_would_be_refused_again_is_given_up(server, shop, status, error):
    answer(shop, status)
    with pytest.raises(error):
        server.report(Report(state="checking", version="2.0"))


def test_no_word_of_the_server_keeps_a_version_but_the_one_it_must_say(server, shop):
    answer(shop, 200)
    with pytest.raises(UnreachableError, match="cannot be read"):
        server.report(Report(state="confirming", version="2.0", nonce="n"))


def test_a_connection_that_fails_has_the_server_looked_for_anew(lost):
    address = ServerAddress(f"http://127.0.0.1:{free_port()}", "a-token")
    server = UpdateServer(lambda: address, lambda: lost.append(1))
    for call in (lambda: server.check("1.0"), lambda: server.open("r", 0)):
        with pytest.raises(UnreachableError):
            call()
    assert lost == [1, 1]


def test_nobody_is_asked_before_a_server_has_proved_itself(lost):
    with pytest.raises(NoServerError):
        UpdateServer(lambda: None, lambda: lost.append(1)).check("1.0")
    assert lost == []
