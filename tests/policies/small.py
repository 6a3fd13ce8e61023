"""One small readable world for unit tests: main.sales with three tables, bob in the analysts, alice the owner."""

from __future__ import annotations

from lakewarden_policy import Grant, Head, Membership, Principal, Securable, Snapshot

PRINCIPALS = (
    Principal("alice", "USER", "alice@x.io", "alice@x.io", True),
    Principal("bob", "USER", "bob@x.io", "bob@x.io", True),
    Principal("carol", "USER", "carol@x.io", "carol@x.io", True),
    Principal("gone", "USER", "gone@x.io", "gone@x.io", False),
    Principal("robot", "SERVICE_PRINCIPAL", "6f9619ff-8b86-4011-b42d-00c04fc964ff", "6f9619ff-8b86-4011-b42d-00c04fc964ff", True),
    Principal("analysts", "GROUP", "analysts", "analysts", True),
    Principal("everyone-in-sales", "GROUP", "everyone in sales", "everyone in sales", True),
)  # fmt: skip
MEMBERSHIPS = (Membership("analysts", "bob"), Membership("everyone-in-sales", "analysts"))
SECURABLES = (
    Securable("m", "METASTORE", "account", None, "eu", "eu", None, 1),
    Securable("w", "WORKSPACE", "account", "m", "work", "work", None, 1),
    Securable("adrift", "WORKSPACE", "account", None, "adrift", "adrift", None, 1),
    Securable("c", "CATALOG", "m", "m", "main", "main", "alice", 1),
    Securable("s", "SCHEMA", "c", "m", "sales", "sales", None, 1),
    Securable("t1", "TABLE", "s", "m", "orders", "orders", None, 1),
    Securable("t2", "TABLE", "s", "m", "Parts", "parts", None, 1),
    Securable("t3", "TABLE", "s", "m", "refunds", "refunds", None, 1),
)
GRANTS = (
    Grant("w", "account-users", "USER"),
    Grant("adrift", "account-users", "USER"),
    Grant("c", "everyone-in-sales", "USE_CATALOG"),
    Grant("s", "analysts", "USE_SCHEMA"),
    Grant("t1", "everyone-in-sales", "SELECT"),
    Grant("t3", "analysts", "SELECT"),
)


def small_world(*extra: Grant, without: tuple[Grant, ...] = (), **changed: tuple[object, ...]) -> Snapshot:
    """The world with further grants, or without some of its own."""
    lists: dict[str, object] = {
        "principals": PRINCIPALS,
        "memberships": MEMBERSHIPS,
        "securables": SECURABLES,
    }
    grants = [grant for grant in (*GRANTS, *extra) if grant not in without]
    return Snapshot.build(Head("epoch", 1, "nonce"), **{**lists, **changed}, grants=grants, tokens=[])  # type: ignore[arg-type]
