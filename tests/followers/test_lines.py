from __future__ import annotations

import csv
import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.followers.analysed import ANALYSED
from actors.followers.audit import AUDIT
from actors.followers.lines import BASE, format_cell, format_time
from tests.followers.support import row

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def read(layout, *rows) -> list[dict[str, str]]:
    """What a program that reads CSV finds."""
    text = (layout.header + b"".join(layout.lines(rows))).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_the_header_names_the_columns_once():
    assert AUDIT.header.decode() == (
        "id,received,timestamp,publisher_id,site,source,N,P,K,CO2,Temperature,Moisture,pH,other\n"
    )
    assert ANALYSED.header.decode() == AUDIT.header.decode().strip() + ",health_index,status,anomalies\n"


def test_a_line_of_the_audit_trail():
    assert AUDIT.lines([row(7)]) == [
        b"7,2025-08-22T12:00:01.234Z,2025-08-22T12:00:00.000Z,soil-1,harit-samarth,mqtt,41,22,180,420,21.5,33,6.4,\n"
    ]


def test_a_line_with_the_analysis():
    anomalies = '[{"kind":"unusual","measure":"pH"}]'
    (line,) = read(ANALYSED, row(7, anomalies=anomalies))
    assert (line["health_index"], line["status"], line["anomalies"]) == ("81.25", "Good", anomalies)
    (line,) = read(ANALYSED, row(7, health_index=None, status=""))
    assert (line["health_index"], line["status"], line["anomalies"]) == ("", "", "")


def test_other_names_of_a_measure_fill_its_column_and_the_rest_is_kept_as_json():
    (line,) = read(AUDIT, row(1, measures='{"temp":-3.5,"nitrogen":4,"wind, \\"gusts\\"":1e3,"pH":6}'))
    assert (line["Temperature"], line["N"], line["pH"], line["P"]) == ("-3.5", "4", "6", "")
    assert msgspec.json.decode(line["other"]) == {'wind, "gusts"': 1000.0}


def test_of_two_names_of_one_measure_its_own_has_the_column():
    (line,) = read(AUDIT, row(1, measures='{"temp":1,"Temperature":2,"TEMPERATURE":3}'))
    assert line["Temperature"] == "2"
    assert msgspec.json.decode(line["other"]) == {"temp": 1, "TEMPERATURE": 3}


def test_measures_that_are_no_json_object_are_kept_as_they_are():
    (line,) = read(AUDIT, row(1, measures="[1,"), row(2, measures="[1,"))[:1]
    assert (line["N"], line["pH"], line["other"]) == ("", "", "[1,")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", " =1", '=HYPERLINK("x","y")'])
def test_a_text_is_never_a_formula(text):
    (line,) = read(AUDIT, row(1, serial=text, site=text))
    assert line["publisher_id"].startswith("'")
    assert line["site"].startswith("'")


def test_a_negative_number_stays_a_number():
    (line,) = read(AUDIT, row(1, measures='{"Temperature":-12.5,"N":-3}'))
    assert (line["Temperature"], line["N"]) == ("-12.5", "-3")


@given(
    site=st.text(), serial=st.text(), names=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False))
)
def test_whatever_is_in_a_reading_its_line_is_one_line_and_reads_back(site, serial, names):
    reading = row(1, site=site, serial=serial, measures=msgspec.json.encode(names).decode())
    for layout in (AUDIT, ANALYSED):
        (line,) = layout.lines([reading])
        assert line.count(b"\n") == 1
        assert len(line.decode("utf-8", "surrogatepass").splitlines()) == 1
        (cells,) = read(layout, reading)
        assert None not in cells
        assert None not in cells.values()
        assert not cells["site"].startswith(DANGEROUS)
        assert not cells["publisher_id"].startswith(DANGEROUS)
        found = {name: float(value) for name, value in cells.items() if name in BASE[6:-1] and value}
        found |= msgspec.json.decode(cells["other"] or "{}")
        assert sorted(found.values()) == sorted(names.values())


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Zl", "Zp"])))
def test_a_text_without_control_characters_reads_back_as_it_was(text):
    cell = format_cell(text)
    ((found,),) = csv.reader([cell], strict=True) if cell else (("",),)
    assert found in (text, f"'{text}")


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_755_864_000_999_999, "2025-08-22T12:00:00.999Z"),
        (2**62, str(2**62)),
        (-(2**62), str(-(2**62))),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds(us, text):
    assert format_time(us) == text
