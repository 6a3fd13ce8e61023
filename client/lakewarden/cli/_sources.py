"""What a right comes from, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakewarden.v1.grants_pb2 import PrivilegeSource


def source_words(source: PrivilegeSource) -> str:
    """One source: `ALL PRIVILEGES on catalog main to analysts (through team > analysts), until 2027-01-01T00:00:00Z`."""
    from lakewarden.v1.grants_pb2 import PrivilegeSource

    place = f"{kind_words(source.securable_type)} {source.full_name}".strip()
    through = f" (through {' > '.join(source.group_path)})" if source.group_path else ""
    if source.origin == PrivilegeSource.OWNERSHIP:
        text = f"{source.principal}{through} owns {place}"
    else:
        text = f"{source.privilege.replace('_', ' ')} on {place} to {source.principal}{through}"
    return f"{text}, until {source.expire_time.ToJsonString()}" if source.HasField("expire_time") else text


def kind_words(securable_type: int) -> str:
    """The kind of a securable as words; nothing for an unspecified one."""
    from lakewarden.v1.grants_pb2 import SecurableType

    return SecurableType.Name(securable_type).lower().replace("_", " ") if securable_type else ""  # type: ignore[arg-type]
