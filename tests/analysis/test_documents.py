"""What the page on soil health says is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from actors.analysis import CROPS, MEASURES, STATUSES, SoilSettings
from actors.analysis.crops import WEIGHTS

PAGE = (Path(__file__).parents[2] / "docs" / "soil-health.md").read_text(encoding="utf-8")


def table(heading):
    """Return the rows of the first table below a heading, without its head."""
    lines = PAGE.partition(f"\n## {heading}\n")[2].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = [line for line in lines[first:] if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[: lines[first:].index("")]]


def numbers(text):
    return tuple(float(number.replace(",", "")) for number in re.findall(r"-?\d[\d,]*\.?\d*(?=,? |$)", text))


def test_the_table_of_ranges_is_that_of_the_code():
    head, _, *rows = table("The index")
    told = {row[0].strip("`"): row[1:] for row in rows}

    assert {name: float(cells[0]) for name, cells in told.items()} == WEIGHTS
    assert set(head[2:]) == set(CROPS)
    for name, (_, general, *others) in told.items():
        for crop, cell in zip(head[2:], [general, *others], strict=True):
            assert numbers(cell or general) == CROPS[crop][name], (crop, name)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_the_table_of_measures_is_that_of_the_code(measure):
    told = {row[0].strip("`"): row for row in table("Measures")[2:]}
    _, unit, aliases, hard, plausible = told[measure.name]

    assert unit.startswith(measure.unit)
    assert set(re.findall(r"`(\w+)`", aliases)) <= set(measure.aliases)
    assert numbers(hard) == measure.hard
    assert numbers(plausible) == measure.plausible


def test_the_words_for_the_index_are_those_of_the_code():
    for least, word in STATUSES[1:]:
        assert f"| {least:g} and more | {word} |" in PAGE


def test_the_configuration_that_is_shown_decodes():
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    settings = msgspec.convert(tomllib.loads(shown)["soil"], SoilSettings)

    assert settings.crop_of("field-7") == "vineyard"
    assert settings.plausible_by_measure()["Moisture"] == (3, 95)
