"""One dataset has one name, whatever its producers call it."""

from __future__ import annotations

from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage import names
from lakewarden_server.lineage.names import (
    KEPT_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    NameInvalid,
    dataset_name,
    job_name,
    own_full_name,
    storage_url,
)

GOLDEN = [
    # as sent, as kept
    (("postgresql://Warehouse:5432", "db.public.orders"), ("postgres://warehouse", "db.public.orders")),
    (("postgres://warehouse", "db.public.orders"), ("postgres://warehouse", "db.public.orders")),
    (("postgres://warehouse:5433", "db.public.Orders"), ("postgres://warehouse:5433", "db.public.Orders")),
    (("s3a://lake/", "/tables/orders/"), ("s3://lake", "tables/orders")),
    (("s3n://lake", "tables/orders"), ("s3://lake", "tables/orders")),
    (("S3://Lake", "tables/Orders//"), ("s3://lake", "tables/Orders")),
    (("s3://lake", "tables/orders/dt=2026-01-01/hour=03"), ("s3://lake", "tables/orders")),
    (("s3://lake", "tables/orders/dt=2026-01-01/part-0.snappy.parquet"), ("s3://lake", "tables/orders")),
    (("s3://lake", "exports/report.csv"), ("s3://lake", "exports/report.csv")),
    (("s3://lake", "/"), ("s3://lake", "/")),
    (("s3://lake", "p/*/x.csv"), ("s3://lake", "p")),
    (("s3a://lake", "/p/q/part-?.csv"), ("s3://lake", "p/q")),
    (("s3://lake", "p/**"), ("s3://lake", "p")),
    (("s3://lake", "orders/dt=2026-*/*.parquet"), ("s3://lake", "orders")),
    (("s3://lake", "orders/dt=2026-01-01/part-[0-9].parquet"), ("s3://lake", "orders")),
    (("s3://lake", "p/{a/b,c}/x.csv"), ("s3://lake", "p")),
    (("s3://lake", "*.csv"), ("s3://lake", "/")),
    (("s3://lake", "p/report [1.csv"), ("s3://lake", "p/report [1.csv")),
    (("s3://lake", "p/{one}.csv"), ("s3://lake", "p/{one}.csv")),
    (("s3a:// /", "x"), ("s3", "x")),
    (("file", "/*.csv"), ("file", "/")),
    (("dbfs", "/Volumes/main/raw/landing/*.csv"), ("dbfs", "/Volumes/main/raw/landing")),
    (("postgres://warehouse", "db.public.or*"), ("postgres://warehouse", "db.public.or*")),
    (
        ("abfs://Lake@account.dfs.core.windows.net", "/orders"),
        ("abfss://Lake@account.dfs.core.windows.net", "orders"),
    ),
    (("gcs://lake", "orders"), ("gs://lake", "orders")),
    (("file", "/tmp/orders"), ("file", "/tmp/orders")),
    (("file:", "/tmp/orders/"), ("file", "/tmp/orders")),
    (("file:///", "tmp/orders"), ("file", "/tmp/orders")),
    (("file:///warehouse", "default.orders"), ("file:/warehouse", "default.orders")),
    (("file:/warehouse", "default.orders"), ("file:/warehouse", "default.orders")),
    (("hdfs://namenode:8020", "/user/hive/warehouse/t1"), ("hdfs://namenode", "/user/hive/warehouse/t1")),
    (("hive://metastore:9083", "Sales.`Orders`"), ("hive://metastore", "sales.orders")),
    (("trino://host:8080", "Lake.Sales.Orders"), ("trino://host:8080", "lake.sales.orders")),
    (("snowflake://ORG-acct", 'db.Public."Mixed"'), ("snowflake://ORG-acct", 'DB.PUBLIC."Mixed"')),
    (("snowflake://org-acct", 'db."PUBLIC".orders'), ("snowflake://org-acct", "DB.PUBLIC.ORDERS")),
    (("kafka://b:9092,a:9092", "clicks"), ("kafka://a,b", "clicks")),
    (("bigquery", "project.set.Table"), ("bigquery", "project.set.Table")),
    (("BigQuery", "project.set.Table"), ("bigquery", "project.set.Table")),
    (("unitycatalog://Host:443", "Main.Sales.Orders"), ("unitycatalog://host", "main.sales.orders")),
    (("duckdb:///srv/Shop.duckdb", "shop.main.orders"), ("duckdb:///srv/Shop.duckdb", "shop.main.orders")),
    (("DuckDB://Shop.duckdb", "shop.main.orders"), ("duckdb://Shop.duckdb", "shop.main.orders")),
    (("duckdb://:memory:", "memory.main.orders"), ("duckdb://:memory:", "memory.main.orders")),
    (("my namespace", "Any Thing 🚀"), ("my namespace", "Any Thing 🚀")),
]


@pytest.mark.parametrize(("sent", "kept"), GOLDEN, ids=[" ".join(sent) for sent, _ in GOLDEN])
def test_a_dataset_is_kept_under_its_canonical_name(sent, kept):
    found = dataset_name(*sent)
    assert (found.namespace, found.name) == kept
    assert dataset_name(*kept) == found, "the canonical name is not its own canonical name"


SCHEMES = st.sampled_from(
    [
        "s3a://",
        "s3://",
        "file:",
        "file:///",
        "postgresql://",
        "hive://",
        "snowflake://",
        "kafka://",
        "",
        "a:b",
        "hdfs:/",
        "duckdb://",
        "duckdb:///",
    ]
)


@settings(max_examples=500, deadline=None)
@given(
    SCHEMES,
    st.text('aB/=.:@,1 "`', min_size=1, max_size=12),
    st.text('aB/=."`:1*?[]{},', min_size=1, max_size=12),
)
def test_canonicalizing_twice_changes_nothing(scheme, rest, name):
    try:
        once = dataset_name(scheme + rest, name)
    except NameInvalid:
        return
    assert dataset_name(once.namespace, once.name) == once


@pytest.mark.parametrize(
    ("namespace", "name", "reason"),
    [
        ("", "orders", "NAME_MISSING"),
        ("s3://lake", " ", "NAME_MISSING"),
        ("s3://lake", "a\x00b", "NAME_INVALID"),
        ("s3://lake", "\ud800", "NAME_INVALID"),
        ("s3://lake", "a" * (NAME_CHARACTERS_MAX + 1), "NAME_TOO_LONG"),
    ],
)
def test_a_name_that_cannot_be_stored_is_refused_with_a_reason(namespace, name, reason):
    with pytest.raises(NameInvalid, match=reason):
        dataset_name(namespace, name)


def test_jobs_keep_their_names_as_they_are():
    assert job_name("Airflow ", "DAG.Task")[1:] == ("Airflow ", "DAG.Task")


def test_a_name_in_a_unity_catalog_is_a_full_name_and_a_path_is_a_url():
    assert own_full_name(dataset_name("unitycatalog://host", "Main.Sales.Orders")) == "main.sales.orders"
    assert own_full_name(dataset_name("postgres://host", "main.sales.orders")) == ""
    for host, is_own in (
        ("Host:443", True),
        ("host/", True),
        ("host:8443", False),
        ("other", False),
        ("", False),
    ):
        found = own_full_name(dataset_name(f"unitycatalog://{host}", "main.sales.orders"), {"host"})
        assert (host, found) == (host, "main.sales.orders" if is_own else "")
    assert storage_url(dataset_name("s3a://lake", "/t/orders/")) == "s3://lake/t/orders"
    assert storage_url(dataset_name("file", "/t/orders")) == "file:///t/orders"
    assert storage_url(dataset_name("kafka://host", "topic")) == ""


def test_long_names_are_not_kept_in_memory():
    """Anybody who may ask could fill what is kept with hundreds of megabytes."""
    held = names._kept_dataset_name.cache_info().misses
    for number in range(100):
        long = f"{number}".rjust(KEPT_CHARACTERS_MAX, "x")
        assert dataset_name("postgresql://db", long) == ("DATASET", "postgres://db", long)
    assert names._kept_dataset_name.cache_info().misses == held


@pytest.mark.parametrize("hostile", ["[" * 3_900, "{" + "," * 3_900, "{," * 1_900, "[a/" * 1_300])
def test_a_pattern_is_found_in_the_time_it_takes_to_read_the_name(hostile):
    begun = monotonic()
    for _ in range(100):
        names._path(hostile)
    assert monotonic() - begun < 2
