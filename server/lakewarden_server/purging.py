"""What a server does once an hour: forgets what nobody needs any longer."""

from __future__ import annotations

import logging

from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import LakewardenError
from lakewarden_server.lineage.retention import age
from lakewarden_server.storage import Database, idempotency, retention, token_uses

logger = logging.getLogger("lakewarden")


def purge(database: Database, follower: Follower) -> None:
    """Forgets answers of requests older than a day and what deleted objects left behind, revokes idle tokens, ages lineage; if it fails now, the next hour will do."""
    try:
        with database.transaction(deadline=monotonic() + retention.PURGE_SECONDS_MAX) as connection:
            idempotency.purge(connection, time=follower.at_head().now)
            connection.commit()
        retention.purge(database, policy_digest=follower.policy.digest)
        token_uses.retire(database, policy_digest=follower.policy.digest)
        age(database, follower.at_head().now)
    except LakewardenError as error:
        logger.warning("what is out of date was not purged: %s", error.message)
