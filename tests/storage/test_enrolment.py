"""The table of enrolments."""

from __future__ import annotations

from playhouse.migrations import Runner

from actors.storage.database import MIGRATIONS, migrate, open_database


def test_an_upgrade_that_was_killed_half_way_goes_on(database_url):
    """MariaDB commits each step of a migration by itself."""
    database = open_database(database_url)
    database.connect()
    Runner(database, str(MIGRATIONS)).up("0003_scans")
    texts = ("hostname", "mac_address", "device_type", "address", "changed_by")
    database.execute_sql(
        "CREATE TABLE enrolment (serial VARCHAR(64) NOT NULL PRIMARY KEY, state VARCHAR(16) NOT NULL, token_id INT, "
        + "".join(f"{name} VARCHAR(255) NOT NULL, " for name in texts)
        + "requested_us BIGINT NOT NULL, enrolled_us BIGINT, approved_until_us BIGINT, claim VARCHAR(64) NOT NULL)"
    )
    assert migrate(database)[0] == "0004_enrolment"
    found = [tuple(index.columns) for index in database.get_indexes("enrolment")]
    database.close()
    assert ("state",) in found
