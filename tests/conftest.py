"""Fixtures that every test may use. The servers are real; each xdist worker starts its own, when first asked."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import WITHIN, chromium
from tests.support.databases import MariaDB, Postgres
from tests.support.mosquitto import Mosquitto
from tests.support.need import need

# Hypothesis' own profile for CI on every machine: no deadlines, no complaint that the machine is slow, and the same
# examples in each run. `pytest --hypothesis-profile=default` looks for new ones.
hypothesis.settings.load_profile("ci")


# A suite that runs in the background of a shell has SIGINT ignored, and what it starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def no_file_of_this_machine() -> Iterator[None]:
    """Nothing in this process reads `/etc/muster`; what it starts does not either, see `Process`."""
    nowhere = Path(__file__).with_name("no-such-file.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("supervisor.server.config.SYSTEM_FILE", nowhere)
        patch.setattr("supervisor.publisher.settings.SYSTEM_FILE", nowhere)
        patch.setattr("edge.config.FILES", (Path("muster.toml"),))
        yield


@pytest.fixture
def needs() -> Callable[..., str]:
    """`needs("tc", ...)`: the path of a program, or the end of this test: skipped, and failed under CI."""
    return need


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A broker of this test alone, anonymous, without TLS."""
    with Mosquitto() as server:
        yield server


@pytest.fixture(scope="session")
def shared_mosquitto() -> Iterator[Mosquitto]:
    """One broker for many tests, which keep to topics and client ids of their own and never stop it."""
    with Mosquitto() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL; a test that stops it starts it again."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """One MariaDB; a test that stops it starts it again."""
    with MariaDB() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once for each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/muster.db"
        return
    server = request.getfixturevalue(request.param)
    url = server.fresh_database()
    yield url
    server.drop(url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. It ends with the module: while it lives no other test in this process could use asyncio."""
    with chromium() as instance:
        yield instance


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with a clean profile; an uncaught JavaScript error on it fails the test."""
    with browser.new_context() as context:
        context.set_default_timeout(WITHIN)
        errors: list[str] = []
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert not errors
