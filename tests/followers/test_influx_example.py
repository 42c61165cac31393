from __future__ import annotations

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.followers.support import row, soil, station
from tests.storage.build import NOON
from tests.support.wait import eventually

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "influx_sink.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("influx_sink", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Influx(ThreadingHTTPServer):
    """Takes what is posted, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = 204
        self.requests = []
        self.bodies = []
        self.points = {}
        """The point of each measurement, tag set and time, as InfluxDB keeps them."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        server.requests.append((self.path, dict(self.headers)))
        if server.status == 204:
            server.bodies.append(body)
            for line in body.splitlines():
                key, fields, time = line.rsplit(" ", 2)
                server.points[key, time] = fields
        self.send_response(server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def influx():
    server = Influx()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(influx, tmp_path):
    (tmp_path / "token").write_text("secret\n")
    return {"url": influx.url, "org": "farm 1", "bucket": "soil", "token_file": str(tmp_path / "token")}


def test_a_reading_becomes_a_point(example):
    line = example.format_point("reading", row(1007, measures='{"N":41,"pH":6.4}'))
    assert line == (
        "reading,publisher_id=soil-1,site=harit-samarth,source=mqtt "
        f'N=41.0,pH=6.4,health_index=81.25,status="Good" {NOON * 1000 + 7}\n'
    )


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a b", r"a\ b"),
        ("a,b", r"a\,b"),
        ("a=b", r"a\=b"),
        ('a"b', 'a"b'),
        ("a\\b", "a\\b"),
        ("a\nb", r"a\ b"),
        ("a\\", "a\\\\ "),
        ("grün", "grün"),
        ("time", "time_"),
    ],
)
def test_names_are_escaped(example, name, escaped):
    line = example.format_point(
        "reading", row(1, site=name, measures=json.dumps({name: 1}), health_index=None, status="")
    )
    site = escaped.removesuffix("_")
    assert line == f"reading,publisher_id=soil-1,site={site},source=mqtt {escaped}=1.0 {NOON * 1000 + 1}\n"


def test_a_text_and_a_measurement_have_rules_of_their_own(example):
    line = example.format_point("my=soil, all", row(1, status='"go\\od"\n'))
    assert line.startswith(r"my=soil\,\ all,publisher_id=soil-1,")
    assert r'status="\"go\\od\" "' in line


def test_a_reading_without_numbers_is_no_point(example):
    assert example.format_point("reading", row(1, measures="{}", health_index=None, status="")) == ""


def test_points_are_posted_as_the_api_wants_them(example, influx, settings):
    sink = example.InfluxSink(settings)
    assert sink.open() is None
    sink.write([row(1), row(2)])
    sink.write([row(3)])
    sink.close()
    path, headers = influx.requests[0]
    assert urlsplit(path).path == "/api/v2/write"
    assert parse_qs(urlsplit(path).query) == {"org": ["farm 1"], "bucket": ["soil"], "precision": ["ns"]}
    assert headers["Authorization"] == "Token secret"
    assert len(influx.points) == 3


def test_readings_are_in_influx_once_though_it_was_away(example, influx, settings, store, follow):
    store.commit([station(), *(soil(at) for at in range(1, 8)), soil(1, body='{"N":99}')])
    influx.status = 503
    follower = follow(lambda: example.InfluxSink(settings), batch=3)
    eventually(lambda: "answered 503" in follower.board.status.last_error, 20)
    influx.status = 204
    eventually(lambda: follower.board.status.cursor == 8, 30)
    assert len(influx.points) == 8
    assert follower.board.status.written == 8


def test_a_batch_that_comes_twice_leaves_each_point_once(example, influx, settings):
    sink = example.InfluxSink(settings)
    sink.open()
    batch = [row(number) for number in range(1, 6)]  # five readings of one time
    sink.write(batch)
    sink.write(batch)
    sink.close()
    assert len(influx.bodies) == 2
    assert len(influx.points) == 5


def test_a_server_that_is_not_there_is_an_error_of_the_sink(example, settings):
    sink = example.InfluxSink(settings | {"url": "http://127.0.0.1:1"})
    sink.open()
    with pytest.raises(OSError, match="refused"):
        sink.write([row(1)])
    sink.close()


def test_points_may_go_into_a_file(example, tmp_path):
    sink = example.InfluxSink({"file": str(tmp_path / "points.lp"), "measurement": "soil"})
    assert sink.open() is None
    sink.write([row(1), row(2)])
    sink.close()
    assert (tmp_path / "points.lp").read_text().count("soil,publisher_id=soil-1") == 2


def test_a_missing_setting_is_told_at_once(example):
    with pytest.raises(KeyError, match="org"):
        example.InfluxSink({"url": "http://x"})
