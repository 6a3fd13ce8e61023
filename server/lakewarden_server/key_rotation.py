"""What rests on which key of the key file, and how secrets are sealed anew before an old key goes."""

from __future__ import annotations

from collections.abc import Mapping

from lakewarden_policy import load_policy
from lakewarden_server.authn.keys import Keys, Ring
from lakewarden_server.bootstrap import operator_record
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.seals import seal, unseal
from lakewarden_server.storage import Database
from lakewarden_server.storage.repositories import secrets, tokens

WRITE_SECONDS = 60.0


def tokens_by_pepper(database: Database) -> Mapping[str, int]:
    """How many tokens and client secrets that have not ended rest on each pepper, by its id."""
    with database.read() as uow:
        return tokens.count_by_pepper(uow.session, time=uow.time)


def seal_anew(database: Database, keys: Keys) -> tuple[int, int]:
    """Seals every secret with the key in use, in one transaction; how many were, and how many are under keys that are not here.

    Raises `BrokenSeal` for a secret that its key does not open.
    """
    ring = {key.id: key.secret for key in keys.rings[Ring.SECRETS]}
    newest = keys.rings[Ring.SECRETS][0]
    done = lost = 0
    with database.write(
        deadline=monotonic() + WRITE_SECONDS,
        request_id="",
        actor_id="",
        policy_digest=load_policy().digest,
    ) as uow:
        for row in secrets.sealed_otherwise(uow.session, newest.id):
            if row.key_id not in ring:
                lost += 1
                continue
            opened = unseal(ring[row.key_id], row.sealed, owner_id=row.securable_id)
            row.sealed = seal(newest.secret, opened, owner_id=row.securable_id)
            row.key_id = newest.id
            done += 1
        if done:
            uow.session.flush()
            uow.audit(operator_record("lakewarden-server secrets-key drop", "seal_secrets", sealed=str(done)))
            uow.commit()
    return done, lost
