"""Users."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import users_pb2 as pb
from lakewarden_policy import validate_email
from lakewarden_server.entities import Principal
from lakewarden_server.services import principals, validation
from lakewarden_server.services.call import Call


class UserService:
    """Implements `lakewarden.v1.UserService`."""

    def create_user(self, request: pb.CreateUserRequest, call: Call) -> pb.User:
        """Creates a user."""
        name = validation.named(validate_email, request.user.name)
        user = principals.create(
            call,
            kind="USER",
            name=name,
            display_name=request.user.display_name,
            external_id=request.user.external_id,
            active=not request.inactive,
        )
        return to_message(user, call)

    def get_user(self, request: pb.GetUserRequest, call: Call) -> pb.User:
        """Returns one user."""
        return to_message(call.row(Principal, call.self_id), call)

    def list_users(self, request: pb.ListUsersRequest, call: Call) -> pb.ListUsersResponse:
        """Lists the users the caller may see."""
        page = principals.page(call, "USER", request)
        return pb.ListUsersResponse(
            users=[to_message(user, call) for user in page.rows],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )

    def update_user(self, request: pb.UpdateUserRequest, call: Call) -> pb.User:
        """Changes what the mask names."""
        return to_message(
            principals.update(call, request.user, request.update_mask.paths, principals.SETTERS), call
        )

    def delete_user(self, request: pb.DeleteUserRequest, call: Call) -> Empty:
        """Deletes a user; what it owned and was granted stays under its id."""
        return principals.delete(call, request.etag)


def to_message(user: Principal, call: Call) -> pb.User:
    """The message of a user's row."""
    message = pb.User(display_name=user.display_name, active=user.active)
    principals.fill(message, user, call)
    return message
