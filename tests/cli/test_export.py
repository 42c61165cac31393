"""`muster export`: what is stored becomes a file, whole or not at all."""

from __future__ import annotations

import csv
import importlib
import io
import json
import sys
import tracemalloc
import types

import pytest

from actors.messages import DeleteDevice
from actors.storage.database import MIGRATIONS, open_database
from actors.storage.store import Store
from supervisor.cli import readings_file as module
from tests.storage.build import NOON, analysed, device, reading, station

HOUR = 3_600_000_000
NOTE = '[{"kind":"unusual","measure":"pH"}]'


@pytest.fixture
def database_url_of(monkeypatch):
    """Let `muster` use the database of the test."""

    def use(url):
        monkeypatch.setenv("MUSTER_DATABASE_URL", url)
        return url

    return use


@pytest.fixture
def fill(database_url_of, tmp_path):
    """Write to the test's SQLite file."""
    url = database_url_of(f"sqlite:///{tmp_path}/muster.db")

    def write(*batch):
        store = Store(open_database(url))
        result = store.commit(list(batch))
        while store.purge():
            pass
        store.close()
        return result

    return write


@pytest.fixture
def export(muster):
    return lambda *arguments: muster("export", "readings", *arguments)


def lines_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_line_for_each_number_device_by_device_and_oldest_first(fill, export):
    fill(station("b"), device("a", site="plant"), analysed("b", at=2), analysed("b", at=1, index=None))
    fill(reading("a", body='{"flow.rate":2.5,"x":-3}', clock="ntp"))
    result = export()
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == "time,device,channel,metric,value,health_index,status"
    found = [(line["device"], line["time"][-7:], line["metric"], line["value"]) for line in lines_of(result.out)]
    assert found == [
        ("a", "000000Z", "flow.rate", "2.5"),
        ("a", "000000Z", "x", "-3"),
        ("b", "000001Z", "pH", "6.5"),
        ("b", "000001Z", "N", "1"),
        ("b", "000002Z", "pH", "6.5"),
        ("b", "000002Z", "N", "2"),
    ]
    last = lines_of(result.out)[-1]
    assert (last["health_index"], last["status"], last["channel"]) == ("81.5", "Excellent", "data")
    assert lines_of(result.out)[2]["health_index"] == ""


def test_jsonl_has_an_object_for_each_reading_with_all_that_is_known(fill, export):
    fill(station("a"), analysed("a", clock="ntp", anomalies=NOTE, rx_us=NOON + 5), reading("a", at=1, body="{}"))
    first, second = map(json.loads, export("--format", "jsonl").out.splitlines())
    assert first == {
        "time": "2025-08-22T12:00:00.000000Z",
        "device": "a",
        "site": "farm",
        "channel": "data",
        "measures": {"pH": 6.5, "N": 0},
        "health_index": 81.5,
        "status": "Excellent",
        "anomalies": [{"kind": "unusual", "measure": "pH"}],
        "received": "2025-08-22T12:00:00.000005Z",
        "clock": "ntp",
        "source": "mqtt",
    }
    assert (second["measures"], second["health_index"], second["anomalies"]) == ({}, None, [])


def test_devices_times_and_measures_are_chosen(fill, export):
    fill(station("a"), station("b"), station("c"))
    fill(*(analysed(serial, at=at * HOUR) for serial in "abc" for at in range(4)))
    flags = ("--device", "c", "--device", "a", "--metric", "N", "--metric", "absent")
    span = ("--since", "2025-08-22T13:00:00Z", "--until", "2025-08-22T15:00:00+00:00")
    found = lines_of(export(*flags, *span).out)
    assert [(line["device"], line["time"][11:13], line["metric"]) for line in found] == [
        ("a", "13", "N"),
        ("a", "14", "N"),
        ("c", "13", "N"),
        ("c", "14", "N"),
    ]
    assert export("--metric", "absent", "--format", "jsonl").out == ""


def test_times_without_a_zone_are_those_of_the_configuration(fill, export, tmp_path):
    fill(station("a"), *(analysed("a", at=at * HOUR) for at in range(-6, 6)))
    (tmp_path / "muster.toml").write_text('timezone = "Asia/Kolkata"\n')
    found = lines_of(export("--since", "2025-08-22T17:30:00", "--metric", "N").out)
    assert found[0]["time"] == "2025-08-22T12:00:00.000000Z"
    assert len(lines_of(export("--until", "2025-08-22", "--metric", "N").out)) == 0


def test_pages_join_without_a_gap_and_without_a_repetition(fill, export, monkeypatch):
    monkeypatch.setattr("actors.storage.exporting.MOST_ROWS", 7)
    bodies = [f'{{"n":{at}}}' for at in range(50)]
    fill(*(device(f"d{number:02}") for number in range(15)))
    fill(*(reading("d03", at=at // 9, body=body) for at, body in enumerate(bodies)), reading("d14"))
    found = lines_of(export().out)
    assert sorted(line["value"] for line in found if line["device"] == "d03") == sorted(map(str, range(50)))
    assert found[-1]["device"] == "d14"


def test_what_was_deleted_is_not_exported(fill, export):
    fill(device("a"), device("b"), reading("a"), reading("b", at=1))
    fill(DeleteDevice("b"))
    assert {line["device"] for line in lines_of(export().out)} == {"a"}
    assert export("--device", "b").code == 1


def test_any_name_survives_the_way(fill, export):
    names = ['say "when"', "a,b", "grün", "it's", "x\ty"]
    fill(device("a"), reading("a", body=json.dumps(dict.fromkeys(names, 1), ensure_ascii=False)))
    assert [line["metric"] for line in lines_of(export().out)] == names


def test_every_database_is_read(database_url, database_url_of, export):
    store = Store(open_database(database_url_of(database_url)))
    store.commit([station("a"), station("B"), *(analysed(serial, at=at) for serial in "aB" for at in range(1100))])
    store.close()
    result = export("--metric", "N", "--format", "jsonl")
    assert result.code == 0, result.err
    found = [json.loads(line) for line in result.out.splitlines()]
    for serial in "aB":
        assert [one["measures"]["N"] for one in found if one["device"] == serial] == list(range(1100))


# -- files -----------------------------------------------------------------------------------------------------------


def test_a_file_gets_its_name_when_it_is_whole(fill, export, tmp_path):
    fill(station("a"), analysed("a"), analysed("a", at=1))
    result = export("--output", "out.csv")
    assert (result.code, result.out) == (0, "")
    assert "2 readings are in out.csv" in result.err
    assert len(lines_of((tmp_path / "out.csv").read_text())) == 4
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), SystemExit(3)])
def test_an_export_that_breaks_off_leaves_the_old_file_and_no_part_of_the_new_one(
    fill, export, tmp_path, monkeypatch, error
):
    fill(station("a"), *(analysed("a", at=at) for at in range(10)))
    (tmp_path / "out.csv").write_text("old")
    seen = []

    def write(self, *_):
        seen.append(sorted(path.name for path in tmp_path.glob("out*")))
        raise error

    monkeypatch.setattr(module.CsvSink, "write", write)
    result = export("--output", "out.csv")
    assert seen == [["out.csv", "out.csv.part"]]
    assert (tmp_path / "out.csv").read_text() == "old"
    assert not list(tmp_path.glob("*.part"))
    if isinstance(error, OSError):
        assert (result.code, "No space left" in result.err) == (1, True)


def test_a_file_that_cannot_be_written_is_one_sentence(fill, export):
    fill(station("a"), analysed("a"))
    result = export("--output", "missing/out.csv")
    assert (result.code, result.out) == (1, "")
    assert "missing/out.csv.part: No such file or directory" in result.err
    assert "Traceback" not in result.err


def test_memory_does_not_grow_with_the_number_of_readings(fill, export, tmp_path):
    def measure(name):
        tracemalloc.start()
        assert export("--output", name).code == 0
        (_, peak) = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    fill(station("a"), *(analysed("a", at=at) for at in range(3_000)))
    measure("warm.csv")
    small = measure("small.csv")
    fill(*(analysed("a", at=at) for at in range(3_000, 15_000)))
    large = measure("large.csv")
    assert (tmp_path / "large.csv").stat().st_size > 4 * (tmp_path / "small.csv").stat().st_size
    assert large < 1.5 * small


# -- what may be wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--since", "yesterday"), "--since"),
        (("--until", "2025-13-01"), "--until"),
        (("--since", "2025-08-22", "--until", "2025-08-22"), "earlier"),
        (("--format", "xml"), "xml"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
        (("extra",), "extra"),
    ],
)
def test_a_wrong_usage_is_exit_code_2(fill, export, flags, part):
    fill(station("a"))
    result = export(*flags)
    assert (result.code, result.out) == (2, "")
    assert part in result.err


def test_an_unknown_device_is_named(fill, export, tmp_path):
    fill(station("a"))
    result = export("--device", "a", "--device", "nobody", "--output", "out.csv")
    assert (result.code, "nobody" in result.err) == (1, True)
    assert not list(tmp_path.glob("out*"))


def test_a_database_that_is_not_there_is_one_sentence(database_url_of, export, tmp_path):
    database_url_of(f"sqlite:///{tmp_path}/none.db")
    result = export()
    assert (result.code, "unable to open" in result.err) == (1, True)
    assert not (tmp_path / "none.db").exists()


def test_a_database_server_that_is_away_is_one_sentence_without_the_password(database_url_of, export):
    database_url_of("postgresql://muster:s3cret@127.0.0.1:1/muster")
    result = export()
    assert result.code == 1
    assert "The database cannot be read" in result.err
    assert "s3cret" not in result.err


def test_tables_of_an_older_version_are_not_touched(database_url_of, export, tmp_path):
    from playhouse.migrations import Runner

    database = open_database(database_url_of(f"sqlite:///{tmp_path}/old.db"))
    database.connect()
    Runner(database, str(MIGRATIONS)).up("0001_initial")
    result = export()
    assert (result.code, "start the server once" in result.err) == (1, True)
    assert "rollup_hour" not in database.get_tables()
    database.close()


# -- parquet ---------------------------------------------------------------------------------------------------------


def test_without_pyarrow_parquet_says_how_to_get_it(fill, export, monkeypatch, tmp_path):
    fill(station("a"), analysed("a"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = export("--format", "parquet", "--output", "out.parquet")
    assert (result.code, result.out) == (1, "")
    assert "pip install 'muster-fleet[parquet]'" in result.err
    assert not list(tmp_path.glob("out*"))


class Arrow(types.SimpleNamespace):
    """As much of pyarrow as the export uses; keeps what it was given."""

    def __init__(self):
        self.tables: list[list[tuple]] = []
        self.closed = 0
        super().__init__(
            int32=lambda: "int32",
            string=lambda: "string",
            float64=lambda: "float64",
            dictionary=lambda index, value: f"dictionary<{index},{value}>",
            timestamp=lambda unit, tz: f"timestamp<{unit},{tz}>",
            schema=lambda pairs: [types.SimpleNamespace(name=name, type=kind) for name, kind in pairs],
            array=lambda values, **_: list(values),
            Table=types.SimpleNamespace(from_arrays=lambda arrays, schema: list(zip(*arrays, strict=True))),
        )

    def writer(self, stream, schema, compression):
        self.schema = {field.name: field.type for field in schema}
        stream.write(b"PAR1")
        return types.SimpleNamespace(write_table=self.tables.append, close=self._close)

    def _close(self):
        self.closed += 1


@pytest.fixture
def arrow(monkeypatch):
    fake = Arrow()
    monkeypatch.setitem(sys.modules, "pyarrow", fake)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", types.SimpleNamespace(ParquetWriter=fake.writer))
    return fake


def test_parquet_gets_typed_lines_in_groups_of_rows(fill, export, arrow, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "ROW_GROUP", 4)
    fill(station("a"), *(analysed("a", at=at) for at in range(5)))
    result = export("--format", "parquet", "--output", "out.parquet")
    assert result.code == 0, result.err
    assert arrow.schema["time"] == "timestamp<us,UTC>"
    assert [len(table) for table in arrow.tables] == [4, 4, 2]
    assert arrow.tables[0][:2] == [
        (NOON, "a", "data", "pH", 6.5, 81.5, "Excellent"),
        (NOON, "a", "data", "N", 0.0, 81.5, "Excellent"),
    ]
    assert arrow.closed == 1
    assert (tmp_path / "out.parquet").exists()


def test_parquet_without_readings_still_is_a_file_with_columns(fill, export, arrow):
    fill(station("a"))
    assert export("--format", "parquet", "--output", "out.parquet").code == 0
    assert arrow.tables == [[]]


def test_parquet_is_not_for_a_terminal(fill, export, arrow, monkeypatch):
    fill(station("a"))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    result = export("--format", "parquet")
    assert (result.code, "--output" in result.err) == (2, True)


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_real_parquet_can_be_read_back(fill, export, tmp_path):
    import pyarrow.parquet

    fill(station("a"), *(analysed("a", at=at) for at in range(5)))
    assert export("--format", "parquet", "--output", "out.parquet").code == 0
    found = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["value"] for row in found if row["metric"] == "N"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert found[0]["time"].isoformat() == "2025-08-22T12:00:00+00:00"


# -- a terminal ------------------------------------------------------------------------------------------------------


def test_a_terminal_sees_how_far_it_has_come(fill, export, monkeypatch, tmp_path):
    fill(*(station(serial) for serial in "ab"), *(analysed(serial, at=at) for serial in "ab" for at in range(50)))
    monkeypatch.setattr("actors.storage.exporting.MOST_ROWS", 10)
    shown = []
    real = module._Progress.show

    def show(self, devices):
        real(self, devices)
        shown.append(self._bar.tasks[0].completed)

    monkeypatch.setattr(module._Progress, "show", show)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert export("--output", "out.csv").code == 0
    assert shown == sorted(shown)
    assert (shown[-1], len(set(shown))) == (2, 10)
