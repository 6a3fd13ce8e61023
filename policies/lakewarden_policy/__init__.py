"""The policy engine of Lakewarden: pure decisions over an immutable snapshot, for the server and engine-side replicas."""

from __future__ import annotations

from lakewarden_policy.decide import Decider, Decision, Missing
from lakewarden_policy.explain import Explanation, explain_operation, explain_privilege, quote_principal
from lakewarden_policy.kinds import (
    ACCOUNT_ADMIN,
    ACCOUNT_ID,
    ACCOUNT_USERS_ID,
    ACCOUNT_USERS_NAME,
    KINDS,
    Kind,
)
from lakewarden_policy.matcher import PolicyError
from lakewarden_policy.names import (
    NAME_BYTES_MAX,
    InvalidName,
    display_name,
    email_key,
    name_key,
    principal_key,
    split_full_name,
    validate_application_id,
    validate_email,
    validate_group_name,
    validate_name,
)
from lakewarden_policy.operations import FILTERED, PUBLIC, Atom, Operation
from lakewarden_policy.policy import (
    Policy,
    UnknownOperation,
    UnknownPrivilege,
    load_policy,
    policy_texts,
    show_privilege,
)
from lakewarden_policy.privileges import Privilege
from lakewarden_policy.reach import Unreached
from lakewarden_policy.records import Grant, Head, Located, Membership, Principal, Row, Securable, Token
from lakewarden_policy.snapshot import Snapshot

__all__ = [
    "ACCOUNT_ADMIN",
    "ACCOUNT_ID",
    "ACCOUNT_USERS_ID",
    "ACCOUNT_USERS_NAME",
    "FILTERED",
    "KINDS",
    "NAME_BYTES_MAX",
    "PUBLIC",
    "Atom",
    "Decider",
    "Decision",
    "Explanation",
    "Grant",
    "Head",
    "InvalidName",
    "Kind",
    "Located",
    "Membership",
    "Missing",
    "Operation",
    "Policy",
    "PolicyError",
    "Principal",
    "Privilege",
    "Row",
    "Securable",
    "Snapshot",
    "Token",
    "UnknownOperation",
    "UnknownPrivilege",
    "Unreached",
    "display_name",
    "email_key",
    "explain_operation",
    "explain_privilege",
    "load_policy",
    "name_key",
    "policy_texts",
    "principal_key",
    "quote_principal",
    "show_privilege",
    "split_full_name",
    "validate_application_id",
    "validate_email",
    "validate_group_name",
    "validate_name",
]
