"""Every column of MariaDB's catalogues that defines something is in the print, or it is said here why not."""

import json
from pathlib import Path

import pytest

from include.agent.stores.mariadb import print as mariadb_print

# What real servers have: {version: {catalogue: [columns]}}. A test of the lab compares it with them.
SERVERS = json.loads(Path(__file__).with_name("catalogue.json").read_text())
ALL = [
    (version, catalogue, column)
    for version, catalogues in SERVERS.items()
    for catalogue, columns in catalogues.items()
    for column in columns
]

_STATE = "what the server does at the moment"
_SERVER = "the server's own, the same for every account"
_COUNTS = "counters and statistics"
_LOGS = "a log of the server"
_SAID = "says again what another catalogue that is in the print says"
NOT_DEFINED_BY_AN_ACCOUNT = {
    **dict.fromkeys(["PROCESSLIST", "INNODB_TRX", "INNODB_LOCKS", "INNODB_LOCK_WAITS", "PROFILING"], _STATE),
    **dict.fromkeys(["OPTIMIZER_TRACE", "SLAVE_STATUS", "GLOBAL_STATUS", "SESSION_STATUS", "user_variables"], _STATE),
    **dict.fromkeys(["ENABLED_ROLES", "SESSION_VARIABLES", "INNODB_BUFFER_PAGE", "INNODB_BUFFER_PAGE_LRU"], _STATE),
    **dict.fromkeys(["THREAD_POOL_GROUPS", "THREAD_POOL_QUEUES", "THREAD_POOL_STATS", "THREAD_POOL_WAITS"], _STATE),
    **dict.fromkeys(["INNODB_FT_BEING_DELETED", "INNODB_FT_CONFIG", "INNODB_FT_DELETED"], _STATE),
    **dict.fromkeys(["INNODB_FT_INDEX_CACHE", "INNODB_FT_INDEX_TABLE", "INNODB_TABLESPACES_ENCRYPTION"], _STATE),
    **dict.fromkeys(["ALL_PLUGINS", "PLUGINS", "CHARACTER_SETS", "COLLATIONS", "ENGINES", "KEYWORDS"], _SERVER),
    **dict.fromkeys(["COLLATION_CHARACTER_SET_APPLICABILITY", "SQL_FUNCTIONS", "SPATIAL_REF_SYS"], _SERVER),
    **dict.fromkeys(["GLOBAL_VARIABLES", "SYSTEM_VARIABLES", "OPTIMIZER_COSTS", "KEY_CACHES"], _SERVER),
    **dict.fromkeys(["INNODB_FT_DEFAULT_STOPWORD", "FILES", "TABLESPACES"], _SERVER),
    **dict.fromkeys(["CLIENT_STATISTICS", "INDEX_STATISTICS", "TABLE_STATISTICS", "USER_STATISTICS"], _COUNTS),
    **dict.fromkeys(["INNODB_BUFFER_POOL_STATS", "INNODB_CMP", "INNODB_CMP_RESET", "INNODB_CMPMEM"], _COUNTS),
    **dict.fromkeys(["INNODB_CMPMEM_RESET", "INNODB_CMP_PER_INDEX", "INNODB_CMP_PER_INDEX_RESET"], _COUNTS),
    **dict.fromkeys(["INNODB_METRICS", "INNODB_SYS_TABLESTATS"], _COUNTS),
    **dict.fromkeys(["EVENTS", "ROUTINES", "PARAMETERS"], f"{_SAID} (mysql.event, mysql.proc)"),
    **dict.fromkeys(["COLUMN_PRIVILEGES", "SCHEMA_PRIVILEGES", "TABLE_PRIVILEGES", "USER_PRIVILEGES"], _SAID),
    **dict.fromkeys(["APPLICABLE_ROLES", "USERS"], f"{_SAID} (mysql.roles_mapping, mysql.global_priv)"),
    **dict.fromkeys(["INNODB_SYS_COLUMNS", "INNODB_SYS_FIELDS", "INNODB_SYS_FOREIGN"], _SAID),
    **dict.fromkeys(["INNODB_SYS_FOREIGN_COLS", "INNODB_SYS_INDEXES", "INNODB_SYS_VIRTUAL"], _SAID),
    "INNODB_SYS_TABLESPACES": "where InnoDB keeps a table",
    "INNODB_SYS_TABLES": "its TABLE_ID is in the print by itself (the identity of a table), the rest is said elsewhere",
    **dict.fromkeys(["column_stats", "index_stats", "table_stats"], _COUNTS),
    **dict.fromkeys(["innodb_index_stats", "innodb_table_stats"], _COUNTS),
    **dict.fromkeys(["general_log", "slow_log", "transaction_registry"], _LOGS),
    **dict.fromkeys(["help_category", "help_keyword", "help_relation", "help_topic", "gtid_slave_pos"], _SERVER),
    **dict.fromkeys(["time_zone", "time_zone_leap_second", "time_zone_name", "time_zone_transition"], _SERVER),
    **dict.fromkeys(["time_zone_transition_type", "plugin", "func", "servers"], _SERVER),
    "user": "a view of mysql.global_priv",
}


@pytest.fixture(params=SERVERS)
def columns(request, monkeypatch) -> dict[str, list[str]]:
    """What is in the print on a server of that version."""
    known = SERVERS[request.param]

    def query(_columns: list[str], rest: str) -> list[list[str]]:
        return [[name, column] for name, columns in known.items() if f"'{name}'" in rest for column in columns]

    monkeypatch.setattr(mariadb_print, "query", query)
    return {"version": request.param, **mariadb_print.catalogues()}


@pytest.mark.parametrize(("version", "catalogue"), sorted({(version, catalogue) for version, catalogue, _ in ALL}))
def test_every_catalogue_is_in_the_print_or_it_is_said_why_not(version: str, catalogue: str) -> None:
    printed = {*mariadb_print.OF_TABLES, *mariadb_print.OF_DATABASES, *mariadb_print.OF_USERS}
    why = NOT_DEFINED_BY_AN_ACCOUNT.get(catalogue.partition(".")[2])
    assert (catalogue in printed) != bool(why), f"{catalogue} of MariaDB {version} is neither, or both"


def test_every_column_is_in_the_print_or_it_is_said_why_not(columns: dict[str, list[str]]) -> None:
    for version, catalogue, column in ALL:
        if version != columns["version"] or catalogue not in columns:
            continue
        asked = mariadb_print._sum(catalogue)
        printed = f"`{column}`" in asked or (catalogue, column) in mariadb_print._INSTEAD
        why = mariadb_print.LEFT_OUT.get(catalogue, {}).get(column)
        assert printed != bool(why), f"{catalogue}.{column} of MariaDB {version} is neither, or both"


def test_nothing_is_left_out_that_is_not_there() -> None:
    known = {(catalogue, column) for _, catalogue, column in ALL}
    left = {(catalogue, column) for catalogue, columns in mariadb_print.LEFT_OUT.items() for column in columns}
    assert {*left, *mariadb_print._INSTEAD} <= known
    there = {catalogue.partition(".")[2] for _, catalogue, _ in ALL}
    assert {*NOT_DEFINED_BY_AN_ACCOUNT} <= there
