"""Volumes."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import volumes_pb2 as pb
from lakewarden_server.entities import Volume
from lakewarden_server.services import locations, securables, validation
from lakewarden_server.services.call import Call


class VolumeService:
    """Implements `lakewarden.v1.VolumeService`."""

    def create_volume(self, request: pb.CreateVolumeRequest, call: Call) -> pb.Volume:
        """Registers a volume in a schema."""
        volume_type, location = _storage(request.volume)
        volume = securables.create(
            call,
            Volume,
            request.volume,
            metastore_id=call.metastore_id,
            volume_type=volume_type,
            storage_location=location,
        )
        if location:
            locations.claim(call, volume.id, location, use=locations.DATA)
        call.uow.session.flush()
        return to_message(volume, call)

    def get_volume(self, request: pb.GetVolumeRequest, call: Call) -> pb.Volume:
        """Returns one volume."""
        return to_message(call.row(Volume, call.self_id), call)

    def list_volumes(self, request: pb.ListVolumesRequest, call: Call) -> pb.ListVolumesResponse:
        """Lists the volumes of a schema that the caller may see."""
        page, token = securables.page(call, Volume, "VOLUME", call.objects.get("parent"), request)
        return pb.ListVolumesResponse(
            volumes=[to_message(volume, call) for volume in page], next_page_token=token
        )

    def update_volume(self, request: pb.UpdateVolumeRequest, call: Call) -> pb.Volume:
        """Changes what the mask names."""
        volume = securables.update(
            call, Volume, request.volume, request.update_mask.paths, securables.SETTERS
        )
        call.uow.session.flush()
        return to_message(volume, call)

    def delete_volume(self, request: pb.DeleteVolumeRequest, call: Call) -> Empty:
        """Deletes a volume with the grants on it."""
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()


def to_message(volume: Volume, call: Call) -> pb.Volume:
    """The message of a volume row."""
    message = pb.Volume(
        metastore_id=volume.metastore_id or "",
        volume_type=pb.Volume.Type.Value(volume.volume_type),
        storage_location=volume.storage_location,
    )
    securables.fill(message, volume, call)
    return message


def _storage(volume: pb.Volume) -> tuple[str, str]:
    """Type and canonical location of a new volume; an external one has a location, a managed one has none of its own."""
    if volume.volume_type not in (pb.Volume.TYPE_UNSPECIFIED, pb.Volume.MANAGED, pb.Volume.EXTERNAL):
        raise validation.invalid("volume_type", f"{volume.volume_type} is none of its values")
    external = volume.volume_type == pb.Volume.EXTERNAL
    if external != bool(volume.storage_location):
        raise validation.invalid(
            "storage_location", "it is needed for an EXTERNAL volume and refused for a MANAGED one"
        )
    if not external:
        return "MANAGED", ""
    return "EXTERNAL", locations.storage_url(volume.storage_location, "storage_location")
