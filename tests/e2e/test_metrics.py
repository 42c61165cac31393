"""`/metrics` of a running server, its page, and what is made from it: none of them can drift from the others."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.muster import MusterUp
from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
#: What Prometheus adds to each scrape and each sample.
OF_PROMETHEUS = {"up"}
TARGET = {"job", "instance"}
_NAME = re.compile(r"\b(?:muster|process|python)_[a-z0-9_]+\b|\bup\b(?=\{)")
_SELECTOR = re.compile(r"\b((?:muster|process|python)_[a-z0-9_]+|up)\{([^}]*)\}")
_BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_UNITS = {
    "_bytes": "bytes",
    "_timestamp_seconds": "seconds since 1970",
    "_time_seconds": "seconds since 1970",
    "_seconds": "seconds",
}


@pytest.fixture(scope="module")
def families():
    """What a server shows that has had something to do; by name as it is written in a query, without suffixes."""
    with MusterUp("--demo") as up:
        up.call("PUT", "/api/rosters/plant-1", {"serials": ["nobody"]})
        up.call("GET", "/api/nothing")
        up.call("POST", "/api/notifications", {"device": "nobody", "title": "x"})
        up.post("/api/supervision/subscribers/subscriber.site/restart")
        eventually(lambda: up.metric("muster_actor_restarts_total") and up.metric("muster_scans_total", event="stored"))
        eventually(lambda: "muster_dead_letters_total{" in up.get("/metrics"), 30, "a dead letter")
        return {family.name: family for family in text_string_to_metric_families(up.get("/metrics"))}


def labels_of(family):
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def written(family):
    """The name of a family as people write it."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def described():
    """Name -> type, labels, unit of each metric on the page."""
    found = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 7 or not cells[1].startswith("`"):
            continue
        _, names, kind, labels, unit, meaning, _ = cells
        for name in re.findall(r"`([^`]+)`", names):
            assert name not in found, f"{name} stands there twice"
            assert meaning
            found[name] = (kind, set(re.findall(r"`([^`]+)`", labels)), unit)
    return found


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_describes_every_metric_and_no_other(families):
    assert set(described()) == {written(family) for family in families.values()}


def test_the_page_tells_the_type_and_the_labels_of_each(families):
    page = described()
    for family in families.values():
        kind, labels, _ = page[written(family)]
        assert kind == family.type, family.name
        if family.samples:
            assert labels == labels_of(family), family.name


def test_names_follow_the_conventions_of_prometheus(families):
    page = described()
    for family in families.values():
        name = written(family)
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert family.documentation, f"{name} has no help"
        assert (family.type == "counter") == name.endswith("_total")
        for suffix, unit in _UNITS.items():
            if name.removesuffix("_total").endswith(suffix):
                assert page[name][2] == unit, name
                break


def test_no_label_is_per_device(families):
    with_many = [family.name for family in families.values() if labels_of(family) & {"serial", "device", "device_id"}]
    assert with_many == []


# -- what is made from it ---------------------------------------------------------------------------------------------


def alerts():
    document = yaml.safe_load((EXAMPLES / "prometheus/alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard():
    return json.loads((EXAMPLES / "grafana/muster.json").read_text())


def panels():
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries():
    """Where it stands, the query, and the labels that are shown of its result."""
    for rule in alerts():
        shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        yield pytest.param(rule["expr"], shown, id=rule["alert"])
    for panel in panels():
        for number, target in enumerate(panel["targets"]):
            shown = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
            yield pytest.param(target["expr"], shown, id=f"{panel['title']} {number}")


@pytest.mark.parametrize(("query", "shown"), list(queries()))
def test_a_query_uses_what_the_server_has(families, query, shown):
    known = {name for family in families.values() for name in samples_of(family)}
    used = set(_NAME.findall(query))
    assert used, query
    assert used <= known | OF_PROMETHEUS, query
    page = described()
    for name, selector in _SELECTOR.findall(query):
        chosen = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        assert chosen <= of(page, name) | TARGET, (name, query)
    everything = set().union(*(of(page, name) for name in used)) | TARGET
    grouped = {label.strip() for group in _BY.findall(query) for label in group.split(",")}
    assert grouped <= everything | {"le"}, query
    assert shown <= (everything if not _BY.search(query) else grouped | everything), query


def samples_of(family):
    return {f"{family.name}{suffix}" for suffix in _SUFFIXES[family.type]}


def of(page, name):
    """The labels of a metric, by the name of one of its samples."""
    whole = name if name in page else re.sub(r"_(bucket|sum|count)$", "", name)
    return page[whole][1] if name not in OF_PROMETHEUS else set()


@pytest.mark.parametrize(("query", "shown"), list(queries()))
def test_a_value_of_a_label_that_is_asked_for_exists(families, query, shown):
    for name, selector in _SELECTOR.findall(query):
        if name in OF_PROMETHEUS:
            continue
        family = next(family for family in families.values() if name in samples_of(family))
        for label, how, value in re.findall(r'(\w+)(=~|=)"([^"$]*)"', selector):
            there = {sample.labels[label] for sample in family.samples if label in sample.labels}
            assert any(re.fullmatch(value, each) if how == "=~" else value == each for each in there), query


def test_every_alert_says_what_to_do():
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "runbook"}


def test_the_commands_that_alerts_name_exist():
    from supervisor.cli.main import _COMMANDS

    text = (EXAMPLES / "prometheus/alerts.yml").read_text()
    assert set(re.findall(r"`muster ([a-z-]+)", text)) <= set(_COMMANDS)


def test_the_scrape_is_by_a_token_in_a_file_and_reads_the_rules():
    document = yaml.safe_load((EXAMPLES / "prometheus/prometheus.yml").read_text())
    (job,) = document["scrape_configs"]
    assert (job["job_name"], job["metrics_path"], job["scheme"]) == ("muster", "/metrics", "https")
    assert set(job["authorization"]) == {"credentials_file"}
    assert document["rule_files"] == ["alerts.yml"]


def test_the_dashboard_takes_its_data_source_from_a_variable_and_gives_every_panel_a_unit():
    variables = {variable["name"] for variable in dashboard()["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}
    seen = set()
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"], panel["title"]
        assert panel["id"] not in seen
        seen.add(panel["id"])


def test_no_panel_lies_over_another():
    taken = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        x, y, w, h = (place[side] for side in "xywh")
        cells = set(product(range(x, x + w), range(y, y + h)))
        assert not cells & taken, panel["title"]
        taken |= cells


def test_answers_are_counted_by_their_class(families):
    counted = {sample.labels["status"]: sample.value for sample in families["muster_http_answers"].samples}
    assert counted["2xx"] >= 2
    assert counted["4xx"] >= 2  # and 5xx, for it was asked before it could serve
