"""Random changes of IP access lists. None refuses this machine: who follows the walk calls from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.entities import IpAccessList, IpAccessSettings
from lakewarden_server.storage.unit_of_work import WriteUnit

if TYPE_CHECKING:
    from storage.random_changes import Walk

HERE = "127.0.0.0/8"


def list_addresses(walk: Walk, uow: WriteUnit) -> None:
    """Makes, changes, disables or deletes a list, and makes its scope enforce its lists or not."""
    workspace, held = walk.live(uow, "WORKSPACE"), walk.one(uow, IpAccessList)
    scope_id = workspace.id if workspace and walk.rng.random() < 0.7 else ACCOUNT_ID
    networks = [f"10.{walk.rng.randrange(256)}.0.0/16"]
    if held and walk.rng.random() < 0.3:
        uow.session.delete(held)
    elif held and walk.rng.random() < 0.5:
        held.enabled = not held.enabled
        held.ip_addresses = networks if held.list_type == "BLOCK" else [HERE, *networks]
    else:
        list_type = walk.rng.choice(("ALLOW", "BLOCK"))
        addresses = networks if list_type == "BLOCK" else [HERE, *networks]
        uow.session.add(
            IpAccessList(
                id=walk.id(), scope_id=scope_id, label="l", list_type=list_type, ip_addresses=addresses,
                enabled=walk.rng.random() < 0.8,
            )
        )  # fmt: skip
    settings = uow.session.get(IpAccessSettings, scope_id)
    if settings is None:
        uow.session.add(IpAccessSettings(scope_id=scope_id, enforced=True))
    elif walk.rng.random() < 0.3:
        settings.enforced = not settings.enforced
