"""What the documents promise of themselves: complete, short, and pointing at things that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor.server import config
from supervisor.server.settings import Broker, Config

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RECIPES = (
    "docs/add-an-actor.md",
    "docs/add-a-topic.md",
    "docs/add-a-table.md",
    "docs/add-an-analyser.md",
    "docs/add-a-sink.md",
)
GUIDES = ("ARCHITECTURE.md", "docs/add-an-actor.md", "docs/add-a-topic.md")
"""Pages whose every name must be one of the code."""
INVENTED = ("actors/census.py", "actors/storage/migrations/0011_notes.py")
"""Files that a reader of the recipes is to make."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def quoted(text: str) -> list[str]:
    """Return what stands in backticks in the prose."""
    return re.findall(r"`([^`\n]+)`", without_code(text))


def modules() -> Iterator[str]:
    """Yield the source of every module of ours, the tests' included."""
    for folder in ("actors", "web", "supervisor", "edge", "tests"):
        for module in (ROOT / folder).rglob("*.py"):
            yield module.read_text(encoding="utf-8")


def keys(section: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Yield every key of the file, as a dotted path."""
    for field in msgspec.structs.fields(section):
        kind: Any = Broker if field.name == "brokers" else field.type
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from keys(kind, f"{prefix}{field.encode_name}.")
        else:
            yield f"{prefix}{field.encode_name}"


def variables() -> set[str]:
    """Return every variable that the loader knows or a module reads."""
    named = {f"MUSTER_{suffix}" for suffix in config._SETTINGS} | set(config._FOREIGN) | set(config._MQTT_SETTINGS)
    for source in modules():
        named |= set(re.findall(r"environ(?:\.get\(|\[)\"((?:MUSTER|MQTT)_[A-Z_]+)\"", source))
    return named


# Configuration


def test_every_key_of_the_configuration_is_described():
    told: set[str] = set()
    for cell in re.findall(r"^\| (`[^|]*?) \|", read("docs/configuration.md"), re.MULTILINE):
        names = re.findall(r"`([^`]+)`", cell)
        section = names[0].rpartition(".")[0]
        told |= {f"{section}{name}" if name.startswith(".") else name for name in names}

    assert set(keys(Config)) - told == set()


def test_every_variable_is_described():
    page = read("docs/configuration.md")

    assert {name for name in variables() if f"`{name}`" not in page} == set()


def test_the_search_for_variables_finds_those_of_every_source():
    assert {"MUSTER_BROKER_URL", "MUSTER_RUNTIME_DIR", "MUSTER_LOG", "MQTT_USE_TLS", "MQTT_QOS"} <= variables()


@pytest.mark.parametrize("key", ["http.port", "timezone", "log", "limits.streams", "limits.unresolved_bytes"])
def test_the_default_in_the_table_is_that_of_the_code(key):
    value: Any = Config()
    for part in key.split("."):
        value = getattr(value, part)
    (row,) = [
        line for line in read("docs/configuration.md").splitlines() if line.startswith("|") and f"`{key}`" in line
    ]

    assert str(value) in row


# Length


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_at_most_forty_lines(recipe):
    assert len(read(recipe).splitlines()) <= 40


def test_the_architecture_is_one_page():
    assert len(read("ARCHITECTURE.md").splitlines()) <= 75


# What they point at


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page have."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


def leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    found = page.parent / path if path else page
    return found.exists() and (not anchor or anchor in anchors(found))


@each_page
def test_every_relative_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(text)) + re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", text)
    relative = [target for target in targets if not re.match(r"[a-z]+:", target)]

    assert [target for target in relative if not leads_somewhere(page, target)] == []


@each_page
def test_every_page_can_be_reached_from_the_readme(page):
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        at = todo.pop().resolve()
        if at not in seen and at.exists():
            seen.add(at)
            todo += [at.parent / link for link in re.findall(r"\]\(([^)#\s]+\.md)", at.read_text(encoding="utf-8"))]

    assert page.resolve() in seen


@pytest.mark.parametrize("page", [*GUIDES, "README.md", "CONTRIBUTING.md", "docs/add-a-table.md"])
def test_every_file_that_is_named_exists(page):
    path = re.compile(r"(?:[a-z_.]+/)+[\w.-]*(?:\.(?:py|md|toml))?")
    named = {name for name in quoted(read(page)) if path.fullmatch(name) and name not in INVENTED}

    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", GUIDES)
def test_every_name_of_code_that_is_used_exists(page):
    text = read(page)
    examples = "".join(re.findall(r"```.*?```", text, re.DOTALL))
    known = "".join(modules()) + examples
    names = [name for name in quoted(text) if re.fullmatch(r"\w+(?:\.[A-Za-z_]\w*)*(?:\(\))?", name)]
    files = (".py", ".md", ".toml")
    parts = {part for name in names if not name.endswith(files) for part in re.findall(r"\w+", name)}

    assert {part for part in parts if part not in known} == set()
