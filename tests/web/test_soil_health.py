"""`/api/soil-health`, buckets of readings, and what follows the table."""

from __future__ import annotations

import msgspec
import pytest

from actors.payloads import LARGEST_PAYLOAD, RefusedError
from tests.web.fake_soil import NOON, anomaly, soil
from tests.web.fakes import Client, make_face, view
from web.answers_readings import Buckets, Followers, Reading, SoilAnalysis, SoilReadings, SoilStatistics, Stations

READING = {"publisher_id": "soil-1", "timestamp": "2025-10-09T08:53:20Z", "sensor_readings": {"N": 41, "pH": 6.4}}
ANALYZE = "/api/soil-health/analyze"


def hold(answer, type_):
    """The answer has all fields of the type and no other field."""
    assert msgspec.to_builtins(msgspec.convert(answer, type_)) == answer


# A reading handed in


def test_a_new_reading_is_answered_with_its_analysis_and_201():
    answer = Client(make_face(), token="the-operate-token").post(ANALYZE, READING)
    assert answer.status == 201
    analysis = msgspec.convert(answer.json, SoilAnalysis)
    assert (analysis.publisher_id, analysis.health_index, analysis.status) == ("soil-1", 72.4, "Good")
    assert analysis.timestamp == "2025-10-09T08:53:20.000Z"
    assert analysis.anomalies[0].measure == "pH"
    assert not analysis.duplicate


def test_what_an_analyser_tells_beyond_the_contract_is_passed_on():
    assert Client(make_face()).post(ANALYZE, READING).json["crop"] == "tomato"


def test_a_reading_that_was_known_is_answered_with_200():
    client = Client(make_face())
    client.post(ANALYZE, READING)
    again = client.post(ANALYZE, READING)
    assert (again.status, again.json["duplicate"]) == (200, True)


def test_the_key_of_a_request_makes_it_known_again_whatever_it_holds():
    client = Client(make_face())
    assert client.post(ANALYZE, READING, HTTP_IDEMPOTENCY_KEY="k-1").status == 201
    assert client.post(ANALYZE, READING | {"timestamp": None}, HTTP_IDEMPOTENCY_KEY="k-1").status == 200
    assert client.face.soil_health.taken == ["k-1", "k-1"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "schl\xfcssel", "tab\t"])
def test_a_key_that_is_none_is_400_and_nothing_is_taken(key):
    client = Client(make_face())
    answer = client.post(ANALYZE, READING, HTTP_IDEMPOTENCY_KEY=key)
    assert (answer.status, answer.error["details"]) == (400, {"field": "Idempotency-Key"})
    assert client.face.soil_health.taken == []


@pytest.mark.parametrize(
    ("reason", "detail", "field"),
    [
        ("wrong_type", "`sensor_readings.pH` is not a number but text", "sensor_readings.pH"),
        ("missing_field", "the payload has no `publisher_id`", "publisher_id"),
        ("too_deep", "`$.a.b` is nested deeper than 16 levels", "a.b"),
        ("wrong_type", "Expected `str | null`, got `int` - at `$.id`", "id"),
        ("not_an_object", "Expected `object`, got `array`", None),
        ("not_json", "JSON is malformed: invalid character (byte 0)", None),
        ("nul", "a field name under `$` contains NUL", None),
    ],
)
def test_a_refused_reading_is_400_with_its_reason_and_the_field_at_fault(reason, detail, field):
    client = Client(make_face())
    client.face.soil_health.failure = RefusedError(reason, detail)
    answer = client.post(ANALYZE, READING)
    named = {} if field is None else {"field": field}
    assert (answer.status, answer.error["message"]) == (400, detail)
    assert answer.error["details"] == {"reason": reason} | named


def test_a_reading_that_is_too_large_is_413_unread():
    client = Client(make_face())
    answer = client.call("POST", ANALYZE, body=b" " * (LARGEST_PAYLOAD + 1))
    assert (answer.status, answer.error["details"]) == (413, {"limit": LARGEST_PAYLOAD})
    assert client.call("POST", ANALYZE, body=b'{"N": 1}' + b" " * (LARGEST_PAYLOAD - 8)).status == 201


def test_a_devices_token_speaks_for_that_device_alone():
    client = Client(make_face(view("pi-1")), token="the-device-token")
    assert client.post(ANALYZE, READING | {"publisher_id": "pi-1"}).status == 201
    assert client.post(ANALYZE, {"N": 41}).json["publisher_id"] == "pi-1"
    refused = client.post(ANALYZE, READING)
    assert (refused.status, refused.error["code"], refused.error["details"]) == (
        403,
        "forbidden",
        {"reason": "unbound"},
    )
    assert client.get("/api/soil-health/history").status == 403


def test_a_reading_that_could_not_be_stored_in_time_is_503(caplog):
    client = Client(make_face())
    client.face.soil_health.failure = TimeoutError()
    answer = client.post(ANALYZE, READING)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "not answered in time" in caplog.text


# What was kept


def row(serial, **fields):
    reading = soil(serial, **fields)
    del reading["contributions"], reading["recommendations"]
    return reading | {"id": 1, "digest": "00", "clock": "", "source": "mqtt", "channel": "data", "site": "harbour"}


def test_the_history_is_of_the_whole_fleet_or_of_one_device_or_site():
    client = Client(make_face())
    client.face.soil_health.rows["history"] = [row("soil-1", anomalies=[anomaly()]), row("soil-2")]
    answer = client.get("/api/soil-health/history").json
    hold(answer, SoilReadings)
    assert [item["serial"] for item in answer["items"]] == ["soil-1", "soil-2"]
    everything = {"serial": None, "site": None, "since_us": None, "until_us": None, "odd": False}
    assert client.face.soil_health.asked == everything
    client.get("/api/soil-health/history?device=soil-1&site=harbour")
    assert client.face.soil_health.asked == everything | {"serial": "soil-1", "site": "harbour"}


def test_of_a_station_the_history_is_cut_by_time_and_to_what_is_odd():
    client = Client(make_face())
    client.face.soil_health.rows["history"] = [row("soil-1", anomalies=[anomaly()]), row("soil-1")]
    url = "/api/soil-health/history?device=soil-1&since=2025-10-09T08:00:00Z&until=2025-10-09T09:00:00Z"
    assert len(client.get(url).json["items"]) == 2
    assert len(client.get(f"{url}&anomalies=true").json["items"]) == 1
    assert client.face.soil_health.asked == {
        "serial": "soil-1",
        "site": None,
        "since_us": 1_759_996_800_000_000,
        "until_us": 1_760_000_400_000_000,
        "odd": True,
    }


def test_the_index_of_a_station_comes_in_intervals():
    client = Client(make_face())
    client.face.soil_health.rows["indexes"] = [{"ts_us": NOON, "n": 3, "avg": 71.5, "min": 70.0, "max": 73.0}]
    answer = client.get("/api/soil-health/history?device=soil-1&bucket=1h").json
    hold(answer, Buckets)
    assert (client.face.soil_health.asked["bucket_us"], answer["items"][0]["avg"]) == (3_600_000_000, 71.5)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=2025-10-09T08:00:00Z", "since"),
        ("until=2025-10-09T08:00:00Z", "until"),
        ("anomalies=true", "anomalies"),
        ("bucket=1h", "bucket"),
        ("device=soil-1&anomalies=yes", "anomalies"),
        ("device=soil-1&bucket=0", "bucket"),
    ],
)
def test_what_is_asked_of_one_station_needs_one_and_must_make_sense(query, field):
    answer = Client(make_face()).get(f"/api/soil-health/history?{query}")
    assert (answer.status, answer.error["details"]) == (400, {"field": field})


def test_stations_are_narrowed_by_words_site_and_status_or_named():
    client = Client(make_face(*(view(f"soil-{number}", kind="sensor") for number in range(3))))
    rows = [soil("soil-0"), soil("soil-1", 20.0, "Critical"), soil("soil-2", None, "", contributions={})]
    client.face.soil_health.rows["stations"] = rows

    def found(query):
        return [item["serial"] for item in client.get(f"/api/soil-health/stations?{query}").json["items"]]

    assert found("status=Critical") == ["soil-1"]
    assert found("status=none") == ["soil-2"]
    assert found("serials=soil-2,soil-0,soil-2") == ["soil-2", "soil-0"]
    found("q=bed&site=harbour")
    assert (client.face.soil_health.asked.q, client.face.soil_health.asked.site) == ("bed", "harbour")
    many = ",".join(f"s{number}" for number in range(101))
    for query, field in (("status=Bad", "status"), ("serials=a%20b", "serials"), (f"serials={many}", "serials")):
        refused = client.get(f"/api/soil-health/stations?{query}")
        assert (refused.status, refused.error["details"]) == (400, {"field": field})


def test_a_station_tells_the_limits_that_it_is_judged_by():
    client = Client(make_face(view("soil-1", kind="sensor")))
    client.face.soil_health.rows["stations"] = [soil("soil-1", crop="tomato")]
    (station,) = client.get("/api/soil-health/stations").json["items"]
    assert (station["crop"], station["contributions"]["pH"]["optimum"]) == ("tomato", [6.5, 7.0])


@pytest.mark.parametrize("table", ["history", "stations"])
def test_history_and_stations_come_in_pages(table):
    serials = [f"soil-{number}" for number in range(5)]
    client = Client(make_face(*map(view, serials)))
    client.face.soil_health.rows[table] = [row(serial) for serial in serials]
    first = client.get(f"/api/soil-health/{table}?limit=3").json
    rest = client.get(f"/api/soil-health/{table}?limit=3&cursor={first['cursor']}").json
    assert [item["serial"] for item in first["items"] + rest["items"]] == serials
    assert rest["cursor"] is None
    for query, field in (("limit=1001", "limit"), ("cursor=made-up", "cursor"), ("serial=x", "serial")):
        refused = client.get(f"/api/soil-health/{table}?{query}")
        assert (refused.status, refused.error["details"]) == (400, {"field": field})


def test_a_station_is_told_with_its_place_and_presence_from_the_fleet():
    client = Client(make_face(view("soil-1", "offline", kind="sensor", label="North bed", site="harbour")))
    silent = soil("gone", None, "", ts_us=None, rx_us=None, contributions={}, recommendations=[], measures={})
    client.face.soil_health.rows["stations"] = [soil("soil-1", anomalies=[anomaly()]), silent]
    answer = client.get("/api/soil-health/stations").json
    hold(answer, Stations)
    (station,) = answer["items"]
    assert (station["label"], station["site"], station["presence"]) == ("North bed", "harbour", "offline")
    assert (station["ts"], station["health_index"]) == ("2025-10-09T08:53:20.000Z", 72.4)


def test_a_station_that_has_sent_nothing_yet_is_told_without_a_reading():
    client = Client(make_face(view("soil-1", kind="sensor")))
    silent = soil("soil-1", None, "", ts_us=None, rx_us=None, contributions={}, recommendations=[], measures={})
    client.face.soil_health.rows["stations"] = [silent]
    answer = client.get("/api/soil-health/stations").json
    hold(answer, Stations)
    assert (answer["items"][0]["ts"], answer["items"][0]["health_index"]) == (None, None)


def test_a_station_of_an_analyser_that_explains_nothing_is_told_without_what_drives_its_index():
    client = Client(make_face(view("air-1", kind="sensor")))
    client.face.soil_health.rows["stations"] = [row("air-1")]
    (station,) = client.get("/api/soil-health/stations").json["items"]
    assert (station["contributions"], station["recommendations"]) == ({}, [])


def test_the_statistics_tell_what_came_in_and_what_failed():
    answer = Client(make_face()).get("/api/soil-health/statistics").json
    hold(answer, SoilStatistics)
    assert (answer["failed"], answer["by_reason"]) == (2, {"not_json": 2})
    assert (answer["last_received"], answer["last_processed"]) == ("2025-10-09T08:53:20.000Z", None)


def test_followers_are_listed():
    answer = Client(make_face()).get("/api/followers").json
    hold(answer, Followers)
    assert [item["name"] for item in answer["items"]] == ["audit"]


def test_a_devices_readings_come_with_their_analysis():
    client = Client(make_face(view("soil-1")))
    reading = row("soil-1", anomalies=[anomaly()])
    del reading["serial"], reading["site"]
    client.face.history.rows["readings"] = [reading]
    (item,) = client.get("/api/devices/soil-1/readings").json["items"]
    hold(item, Reading)
    assert item["anomalies"][0]["message"] == "pH is 3.8, which is below 4"


# Buckets


@pytest.mark.parametrize(
    ("bucket", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("1d", 86_400),
        ("90", 90),
        ("1.5", 1.5),
        ("0.5h", 1800),
        ("366d", 31_622_400),
    ],
)
def test_readings_come_in_buckets_of_any_length(bucket, seconds):
    client = Client(make_face(view("soil-1")))
    client.face.history.rows["buckets"] = [{"ts_us": NOON, "n": 3, "avg": 6.4, "min": 6.1, "max": 6.6}]
    url = f"/api/devices/soil-1/readings?metric=pH&since=2025-10-09T08:00:00Z&bucket={bucket}"
    answer = client.get(url).json
    hold(answer, Buckets)
    assert answer["items"] == [{"ts": "2025-10-09T08:53:20.000Z", "n": 3, "avg": 6.4, "min": 6.1, "max": 6.6}]
    assert client.face.history.asked == {
        "metric": "pH",
        "since_us": 1_759_996_800_000_000,
        "until_us": None,
        "bucket_us": int(seconds * 1_000_000),
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("bucket=5m", "metric"),
        *((f"metric=pH&bucket={bad}", "bucket") for bad in ("0", "-5", "5w", "m", "1e3", "NaN", "367d", "0.0001", "٣")),
        ("metric=pH&bucket=5m&cursor=made-up", "cursor"),
    ],
)
def test_a_bucket_that_cannot_be_meant_is_400_and_named(query, field):
    answer = Client(make_face(view("soil-1"))).get(f"/api/devices/soil-1/readings?{query}")
    assert (answer.status, answer.error["details"]) == (400, {"field": field})
