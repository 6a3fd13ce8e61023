"""Places in cloud storage: external locations, and the one rule by which tables, volumes and managed storage take theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import external_locations_pb2 as pb
from lakewarden_server.core.errors import FailedPrecondition, InvalidArgument, Reason
from lakewarden_server.core.urls import InvalidUrl, canonical_url, is_inside
from lakewarden_server.entities import ExternalLocation, StoragePath
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories import places

LOCATION, DATA, MANAGED = "LOCATION", "DATA", "MANAGED"


class ExternalLocationService:
    """Implements `lakewarden.v1.ExternalLocationService`."""

    def create_external_location(
        self, request: pb.CreateExternalLocationRequest, call: Call
    ) -> pb.ExternalLocation:
        """Creates an external location where no other one is."""
        url = storage_url(request.external_location.url, "url")
        location = securables.create(
            call,
            ExternalLocation,
            request.external_location,
            metastore_id=call.metastore_id,
            url=url,
            credential_id=_credential_id(call),
            read_only=request.external_location.read_only,
        )
        claim(call, location.id, url, use=LOCATION)
        call.uow.session.flush()
        return to_message(location, call)

    def get_external_location(
        self, request: pb.GetExternalLocationRequest, call: Call
    ) -> pb.ExternalLocation:
        """Returns one external location."""
        return to_message(call.row(ExternalLocation, call.self_id), call)

    def list_external_locations(
        self, request: pb.ListExternalLocationsRequest, call: Call
    ) -> pb.ListExternalLocationsResponse:
        """Lists the external locations the caller may see."""
        page, token = securables.page(call, ExternalLocation, "EXTERNAL_LOCATION", call.metastore_id, request)
        return pb.ListExternalLocationsResponse(
            external_locations=[to_message(row, call) for row in page], next_page_token=token
        )

    def update_external_location(
        self, request: pb.UpdateExternalLocationRequest, call: Call
    ) -> pb.ExternalLocation:
        """Changes what the mask names; whatever lies under the location stays inside."""
        paths = request.update_mask.paths
        if "url" in paths and "credential" not in paths:
            # A new place needs the right to use the credential there, which the rule asks about the credential named.
            raise InvalidArgument(
                Reason.UPDATE_MASK_INVALID,
                "update_mask: url changes only together with credential: name both, though the credential stays",
                field="update_mask",
            )
        setters = {
            **securables.SETTERS, "url": _set_url, "credential": _set_credential, "read_only": _set_read_only,
        }  # fmt: skip
        location = securables.update(call, ExternalLocation, request.external_location, paths, setters)
        call.uow.session.flush()
        return to_message(location, call)

    def delete_external_location(self, request: pb.DeleteExternalLocationRequest, call: Call) -> Empty:
        """Deletes an external location; one under which something is registered needs `force`."""
        location = call.row(ExternalLocation, call.self_id)
        securables.refuse_used(
            bool(_under(call, location.url)) and not request.force,
            "tables, volumes or managed storage lie under this external location",
        )
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()


def to_message(location: ExternalLocation, call: Call) -> pb.ExternalLocation:
    """The message of an external location's row."""
    credential = call.snapshot.securables.get(location.credential_id)
    message = pb.ExternalLocation(
        metastore_id=location.metastore_id or "",
        url=location.url,
        credential=credential.name if credential else "",
        read_only=location.read_only,
    )
    securables.fill(message, location, call)
    return message


def storage_url(text: str, field: str) -> str:
    """The canonical URL of a request field. Raises FIELD_INVALID."""
    try:
        return canonical_url(text)
    except InvalidUrl as error:
        raise validation.invalid(field, str(error)) from None


def claim(call: Call, securable_id: str, url: str, *, use: str, inside: Sequence[str] = ()) -> None:
    """Registers a canonical URL as in use by a securable. Raises LOCATION_OVERLAP, naming nothing that may be hidden.

    External locations never overlap, whoever owns them. What lies in them, DATA of tables and volumes and MANAGED storage
    of catalogs and schemas, does not overlap either, but that a schema's storage may lie in its catalog's: `inside` are the
    ids of the containers. It runs under the head row, so two claims of one place never both pass.
    """
    for other in places.overlapping(call.uow.session, url, uses=(LOCATION, DATA, MANAGED)):
        if other.securable_id != securable_id and _collide(other, url, use=use, inside=inside):
            raise FailedPrecondition(
                Reason.LOCATION_OVERLAP, f"{url} overlaps a place that is registered already: choose another"
            )
    path = call.uow.session.get(StoragePath, securable_id)
    if path is None:
        call.uow.session.add(StoragePath(securable_id=securable_id, use=use, url=url))
    else:
        path.url = url


def claim_managed(call: Call, securable_id: str, text: str, *, inside: Sequence[str] = ()) -> str:
    """Registers the managed storage of a catalog or schema under the bound location, and returns its canonical URL.

    Raises LOCATION_OVERLAP.
    """
    url = storage_url(text, "storage_root")
    claim(call, securable_id, url, use=MANAGED, inside=inside)
    return url


def _collide(other: StoragePath, url: str, *, use: str, inside: Sequence[str]) -> bool:
    if LOCATION in (use, other.use):
        # Locations contain what is registered in them; the other way round somebody's data would contain a location.
        location, path = (url, other.url) if use == LOCATION else (other.url, url)
        return use == other.use or (location != path and is_inside(location, path))
    is_container = use == other.use == MANAGED and other.securable_id in inside
    return not (is_container and is_inside(url, other.url))


def _under(call: Call, url: str) -> list[StoragePath]:
    """What is registered under a location."""
    found = places.overlapping(call.uow.session, url, uses=(DATA, MANAGED))
    return [path for path in found if is_inside(path.url, url)]


def _credential_id(call: Call) -> str:
    credential = call.objects.get("credential")
    if credential is None:
        raise validation.invalid("credential", "name a storage credential that exists")
    return credential


def _set_url(location: Any, message: Any, call: Call) -> None:
    url = storage_url(message.url, "url")
    securables.refuse_used(
        any(not is_inside(path.url, url) for path in _under(call, location.url)),
        "tables, volumes or managed storage under this external location would lie outside",
    )
    call.detail["url_before"] = location.url
    claim(call, location.id, url, use=LOCATION)
    location.url = url


def refuse_managed(call: Call, url: str) -> None:
    """Raises IN_USE where managed storage lies under a location that is to be read-only."""
    managed = any(path.use == MANAGED for path in _under(call, url))
    securables.refuse_used(managed, "managed storage, which is written, lies there")


def _set_credential(location: Any, message: Any, call: Call) -> None:
    location.credential_id = _credential_id(call)
    if location.credential_id in call.snapshot.read_only:
        refuse_managed(call, location.url)


def _set_read_only(location: Any, message: Any, call: Call) -> None:
    if message.read_only:
        refuse_managed(call, location.url)
    location.read_only = message.read_only
