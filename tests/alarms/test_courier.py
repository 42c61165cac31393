"""The courier: a real webhook, devices, Apprise; what fails is said without a secret."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import ClassVar

import pytest

from actors.alarms.apprise import HANGS, MISSING, AppriseServices
from actors.alarms.courier import CourierActor
from actors.alarms.messages import Notice
from actors.alarms.settings import Channel
from actors.runtime import Directory, PooledActor, Runtime
from tests.support.ports import free_port
from tests.support.wait import eventually

BODY = {"id": 7, "rule": "hot", "severity": "critical", "summary": "pi-1: t is 85, over 80", "raised": "2026"}


class Alarms(PooledActor):
    """Takes what the courier tells."""

    def __init__(self, told):
        super().__init__()
        self._told = told

    def on_receive(self, message):
        self._told.append(message)


class Devices:
    """Takes notifications."""

    def __init__(self):
        self.sent, self.failure = [], None

    def notify(self, target, **fields):
        if self.failure:
            raise self.failure
        self.sent.append((target, fields))


class Apprise:
    """The library, as far as it is used."""

    made: ClassVar[list[Apprise]] = []

    def __init__(self):
        self.urls, self.answer = [], True
        Apprise.made.append(self)

    def add(self, url):
        self.urls.append(url)
        return not url.startswith("nonsense")

    def notify(self, **fields):
        self.fields = fields
        if "boom" in self.urls[0]:
            raise RuntimeError("secret")
        return "refused" not in self.urls[0]


@pytest.fixture
def runtime():
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture
def carry(runtime):
    """Carries news by a channel; what is told of it."""
    told, services, devices = [], Directory(), Devices()
    refs = [runtime.launch(Alarms(told))]
    services.publish("alarms", refs[0])

    def carry(channel, event="raised", load=lambda: SimpleNamespace(Apprise=Apprise), times=1, patience=30.0):
        apprise = AppriseServices(channel.apprise, load, patience)
        refs.append(runtime.launch(CourierActor(channel, devices, services, apprise)))
        for _ in range(times):
            refs[-1].tell(Notice(id=3, channel="it", event=event, body=BODY))
            last = eventually(lambda: told and told.pop(), what="what became of it")
        return last

    carry.devices = devices
    yield carry
    for ref in refs:
        ref.stop(timeout=5)


@pytest.fixture
def hook():
    got, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.path, dict(self.headers), body))
            self.send_response(answers.pop() if answers else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield SimpleNamespace(got=got, answers=answers, url=f"http://127.0.0.1:{server.server_port}/a/b?key=s3cret")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_the_alarm_with_the_same_key_at_each_attempt(carry, hook):
    channel = Channel(webhook=hook.url, headers={"Authorization": "Bearer x"})
    for _ in range(2):
        assert (carry(channel).error, carry.devices.sent) == ("", [])
    (path, headers, body), (_, again, _) = hook.got
    assert (path, headers["Authorization"], headers["Content-Type"]) == (
        "/a/b?key=s3cret",
        "Bearer x",
        "application/json",
    )
    assert body == BODY | {"event": "raised", "notice": 3}
    assert headers["Idempotency-Key"] == again["Idempotency-Key"]


@pytest.mark.parametrize(("status", "is_final"), [(503, False), (429, False), (302, False), (404, True), (422, True)])
def test_an_answer_of_a_webhook_that_is_no_success_is_told(carry, hook, status, is_final):
    hook.answers.append(status)
    told = carry(Channel(webhook=hook.url))
    assert (told.error, told.is_final) == (f"the webhook at 127.0.0.1 answered {status}", is_final)


def test_a_webhook_that_is_away_is_tried_again(carry):
    told = carry(Channel(webhook=f"http://127.0.0.1:{free_port()}/s3cret"))
    assert "cannot be reached: Connection refused" in told.error
    assert (told.is_final, "s3cret" in told.error) == (False, False)
    assert carry(Channel(webhook=f"https://127.0.0.1:{free_port()}/")).error


def test_devices_get_a_notification(carry):
    carry(Channel(group="crew"))
    carry(Channel(topic="factory/alerts"), "cleared")
    (group, raised), (topic, cleared) = carry.devices.sent
    assert (group, topic) == ({"group": "crew"}, {"topic": "factory/alerts"})
    assert (raised["title"], raised["body"], raised["priority"]) == ("Critical: hot", BODY["summary"], "urgent")
    assert (cleared["title"], cleared["priority"]) == ("Over: hot", "normal")
    assert raised["data"]["event"] == "raised"
    assert raised["key"] != cleared["key"]


@pytest.mark.parametrize(
    ("failure", "is_final"),
    [(LookupError("there is no group crew"), False), (ValueError("too large"), True), (TimeoutError("later"), False)],
)
def test_a_notification_that_is_not_taken_is_told(carry, failure, is_final):
    carry.devices.failure = failure
    told = carry(Channel(group="crew"))
    assert (str(failure) in told.error, told.is_final) == (True, is_final)


def test_apprise_gets_every_url_of_the_channel(carry):
    assert carry(Channel(apprise=("mailto://a", "slack://b"))).error == ""
    assert [sender.urls for sender in Apprise.made[-2:]] == [["mailto://a"], ["slack://b"]]
    assert Apprise.made[-1].fields == {"title": "Critical: hot", "body": BODY["summary"], "notify_type": "failure"}
    carry(Channel(apprise=("mailto://a",)), "cleared")
    assert Apprise.made[-1].fields["notify_type"] == "success"


@pytest.mark.parametrize(
    ("url", "word", "is_final"),
    [("nonsense://", "URL 1", True), ("refused://", "URL 1", False), ("boom://", "RuntimeError", False)],
)
def test_what_apprise_cannot_do_is_told_without_the_secret(carry, url, word, is_final):
    told = carry(Channel(apprise=(f"{url}secret",)))
    assert word in told.error
    assert ("secret" in told.error, told.is_final) == (False, is_final)


def test_without_apprise_the_extra_is_named(carry):
    def load():
        raise ImportError("apprise")

    assert carry(Channel(apprise=("mailto://a",)), load=load) == carry(Channel(apprise=("mailto://a",)), load=load)
    assert carry(Channel(apprise=("mailto://a",)), load=load).error == MISSING


def test_a_service_that_has_taken_news_does_not_get_them_again_because_another_has_not(carry):
    Apprise.made.clear()
    assert carry(Channel(apprise=("mailto://a", "refused://b")), times=3).error
    assert [sender.urls for sender in Apprise.made if hasattr(sender, "fields")] == [
        ["mailto://a"],
        ["refused://b"],
        ["refused://b"],
        ["refused://b"],
    ]


def test_a_service_that_hangs_does_not_hold_up_the_others_and_is_not_asked_again_before_it_has_ended(carry):
    is_over = threading.Event()

    class Hanging(Apprise):
        def notify(self, **fields):
            return is_over.wait(20) if "hang" in self.urls[0] else super().notify(**fields)

    Apprise.made.clear()
    channel = Channel(apprise=("hang://a", "mailto://b"))
    told = carry(channel, load=lambda: SimpleNamespace(Apprise=Hanging), times=2, patience=0.2)
    assert (told.error, told.is_final) == (HANGS, False)
    assert [sender.urls for sender in Apprise.made if hasattr(sender, "fields")] == [["mailto://b"]]
    is_over.set()


class Drip:
    """A webhook that answers a byte now and then, without an end."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            while not self._over.wait(0.05):
                connection.sendall(b"H")

    def close(self):
        self._over.set()
        self._thread.join()
        self._listener.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_webhook_that_never_comes_to_an_end_is_ended(carry, scheme):
    drip = Drip()
    told = carry(Channel(webhook=f"{scheme}://{drip.address}/", timeout=0.3))
    drip.close()
    assert told.error
    assert not told.is_final
