"""Keeps the secrets that credentials, connections and providers are given. They go in here and out of no service."""

from __future__ import annotations

from collections.abc import Mapping

from lakewarden_server.authn.keys import Keys, Ring
from lakewarden_server.core.seals import seal
from lakewarden_server.entities import Secret
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call

SECRET_BYTES_MAX = 16_384


class SecretKeeper:
    """Seals secrets under the key file; shared by the services that take any."""

    def __init__(self, keys: Keys) -> None:
        self._key_id, self._key = keys.rings[Ring.SECRETS][0]

    def keep(self, call: Call, securable_id: str, secrets: Mapping[str, str]) -> None:
        """Makes these all the secrets the securable has; none forgets those before."""
        session = call.uow.session
        row = session.get(Secret, securable_id)
        if not secrets:
            if row is not None:
                session.delete(row)
            return
        sealed = seal(self._key, secrets, owner_id=securable_id)
        if row is None:
            session.add(Secret(securable_id=securable_id, sealed=sealed, key_id=self._key_id))
        else:
            row.sealed, row.key_id = sealed, self._key_id


def secret_text(text: str, field: str) -> str:
    """A secret within its limit. The message of the FIELD_INVALID it may raise never quotes it."""
    if not text:
        raise validation.invalid(field, "it is empty")
    return validation.bounded(text, field, SECRET_BYTES_MAX)
