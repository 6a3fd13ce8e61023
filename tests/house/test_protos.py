"""The protos are the API's documentation, and the checked-in stubs are theirs: compared with the text, field by field."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor

from house.repository import GENERATED, ROOT, named
from lakewarden.v1 import (
    catalogs_pb2,
    connections_pb2,
    external_locations_pb2,
    external_metadata_pb2,
    functions_pb2,
    materialized_views_pb2,
    metastores_pb2,
    providers_pb2,
    recipients_pb2,
    registered_models_pb2,
    schemas_pb2,
    service_credentials_pb2,
    shares_pb2,
    storage_credentials_pb2,
    streaming_tables_pb2,
    tables_pb2,
    views_pb2,
    volumes_pb2,
    workspace_objects_pb2,
    workspaces_pb2,
)

PROTOS = sorted((ROOT / "protos/lakewarden/v1").glob("*.proto"))
SECURABLES = (
    metastores_pb2.Metastore,
    workspaces_pb2.Workspace,
    catalogs_pb2.Catalog,
    schemas_pb2.Schema,
    tables_pb2.Table,
    volumes_pb2.Volume,
    registered_models_pb2.RegisteredModel,
    views_pb2.View,
    materialized_views_pb2.MaterializedView,
    streaming_tables_pb2.StreamingTable,
    functions_pb2.Function,
    storage_credentials_pb2.StorageCredential,
    service_credentials_pb2.ServiceCredential,
    external_locations_pb2.ExternalLocation,
    connections_pb2.Connection,
    shares_pb2.Share,
    recipients_pb2.Recipient,
    providers_pb2.Provider,
    external_metadata_pb2.ExternalMetadata,
    workspace_objects_pb2.WorkspaceObject,
)
COMMON_FIELD_NUMBER_MAX = 15
COMPILER = ROOT / "var/proto-env/bin/python"
_DECLARATION = re.compile(
    r"(?P<block>message|enum|service|rpc|oneof|extend)\s+(?P<name>[\w.]+)"
    r"|(?P<value>[A-Z][A-Z0-9_]*)\s*=\s*(?P<value_number>\d+)\s*;"
    r"|(?P<label>repeated |optional )?(?P<type>map<[^>]+>|[\w.]+)\s+(?P<field>[a-z]\w*)\s*=\s*(?P<number>\d+)"
)


class Declaration(NamedTuple):
    """One declaration of a .proto file: what it is, its dotted name, number, and whether a comment stands above it."""

    kind: str
    name: str
    number: int
    commented: bool
    line: str


def declarations(path: Path) -> Iterator[Declaration]:
    """Every message, field, enum, value, service and rpc of a file, in order. Knows the layout these protos keep."""
    scope: list[str] = []
    before = ""
    # Options of an RPC may run over several lines; `rules` of the server judge them.
    text = re.sub(r"option \([^;]*;", "", path.read_text())
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith(("//", "syntax", "package", "import")):
            before = line
            continue
        found = _DECLARATION.match(line)
        if found:
            yield _declaration(found, scope, line, commented=before.startswith("//"))
        opened, closed = line.count("{"), line.count("}")
        if opened > closed:
            scope.append(found["name"] if found and found["block"] in {"message", "enum", "service"} else "")
        for _ in range(closed - opened):
            scope.pop()
        before = line


def _declaration(found: re.Match[str], scope: list[str], line: str, *, commented: bool) -> Declaration:
    if found["block"]:
        kind, name, number = found["block"], found["name"], 0
    elif found["value"]:
        kind, name, number = "value", found["value"], int(found["value_number"])
    else:
        kind, name, number = "field", found["field"], int(found["number"])
    return Declaration(kind, ".".join([*filter(None, scope), name]), number, commented, line)


def described(file: FileDescriptor) -> Iterator[tuple[str, str, int]]:
    """Kind, dotted name and number of everything in a generated descriptor."""
    for message in file.message_types_by_name.values():
        yield from _described_message(message, "")
    for enum in file.enum_types_by_name.values():
        yield from _described_enum(enum, "")
    for service in file.services_by_name.values():
        yield "service", service.name, 0
        yield from (("rpc", f"{service.name}.{method.name}", 0) for method in service.methods)


def _described_message(message: Descriptor, prefix: str) -> Iterator[tuple[str, str, int]]:
    name = prefix + message.name
    yield "message", name, 0
    yield from (("field", f"{name}.{field.name}", field.number) for field in message.fields)
    for enum in message.enum_types:
        yield from _described_enum(enum, f"{name}.")
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            yield from _described_message(nested, f"{name}.")


def _described_enum(enum: EnumDescriptor, prefix: str) -> Iterator[tuple[str, str, int]]:
    yield "enum", prefix + enum.name, 0
    yield from (("value", f"{prefix}{enum.name}.{value.name}", value.number) for value in enum.values)


def proto_name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", PROTOS, ids=proto_name)
def test_stubs_have_what_the_proto_says(path: Path) -> None:
    said = {(found.kind, found.name, found.number) for found in declarations(path)}
    generated = set(described(import_module(f"lakewarden.v1.{path.stem}_pb2").DESCRIPTOR))
    assert {
        entry for entry in said if entry[0] not in {"oneof", "extend"} and entry[1] != "rule"
    } == generated


@pytest.mark.skipif(
    not COMPILER.exists(), reason="`make protos` was never run here; the test above compares without it"
)
def test_generating_anew_changes_nothing(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    (tmp_path / "client/lakewarden/v1").mkdir(parents=True)
    environment = {**os.environ, "PROTO_ENV": os.path.relpath(COMPILER.parents[1], tmp_path)}
    subprocess.run([tmp_path / "protos/generate.sh"], env=environment, check=True, capture_output=True)
    for path in (tmp_path / "client/lakewarden/v1").iterdir():
        assert path.read_bytes() == (GENERATED / path.name).read_bytes(), (
            f"{named(GENERATED / path.name)}: make protos"
        )


@pytest.mark.parametrize("path", PROTOS, ids=proto_name)
def test_everything_has_a_comment(path: Path) -> None:
    bare = [
        found.name for found in declarations(path) if not found.commented and found.kind not in {"extend"}
    ]
    assert not bare


@pytest.mark.parametrize("path", [path for path in PROTOS if path.stem != "rules"], ids=proto_name)
def test_every_field_says_how_it_behaves(path: Path) -> None:
    behaviour = re.compile(
        r"\(google\.api\.field_behavior\) = (REQUIRED|OPTIONAL|OUTPUT_ONLY|INPUT_ONLY|IMMUTABLE)"
    )
    silent = [
        found.name
        for found in declarations(path)
        if found.kind == "field" and not behaviour.search(found.line)
    ]
    assert not silent


@pytest.mark.parametrize("path", PROTOS, ids=proto_name)
def test_every_enum_begins_unspecified(path: Path) -> None:
    zeros = [found.name for found in declarations(path) if found.kind == "value" and found.number == 0]
    enums = [found for found in declarations(path) if found.kind == "enum"]
    assert len(zeros) == len(enums)
    assert all(name.endswith("_UNSPECIFIED") for name in zeros)


@pytest.mark.parametrize("path", PROTOS, ids=proto_name)
def test_every_rpc_says_how_it_fails_or_that_everybody_may(path: Path) -> None:
    text = path.read_text()
    for found in re.finditer(r"((?: *//[^\n]*\n)+) *rpc (\w+)", text):
        assert re.search(r"Fails|every authenticated principal may", found[1]), found[2]


def test_times_are_named_so() -> None:
    for path in PROTOS:
        for found in declarations(path):
            if found.kind == "field" and found.line.startswith("google.protobuf.Timestamp"):
                assert found.name.endswith("_time"), found.name


def test_common_fields_have_the_same_numbers_in_every_securable() -> None:
    numbers: dict[str, set[int]] = {}
    names: dict[int, set[str]] = {}
    for securable in SECURABLES:
        for field in securable.DESCRIPTOR.fields:
            if field.number <= COMMON_FIELD_NUMBER_MAX:
                numbers.setdefault(field.name, set()).add(field.number)
                names.setdefault(field.number, set()).add(field.name)
    assert all(len(found) == 1 for found in numbers.values())
    assert all(len(found) == 1 for found in names.values())
    assert {"id", "full_name", "name", "owner", "etag", "create_time"} <= set(numbers)


def test_reader_sees_a_missing_comment_and_a_changed_number(tmp_path: Path) -> None:
    text = (ROOT / "protos/lakewarden/v1/catalogs.proto").read_text()
    broken = tmp_path / "catalogs.proto"
    broken.write_text(
        text.replace("  // Own name", "\n  // Own name\n").replace("string id = 1 ", "string id = 99 ")
    )
    assert [found.name for found in declarations(broken) if not found.commented] == ["Catalog.name"]
    said = {(found.kind, found.name, found.number) for found in declarations(broken)}
    assert ("field", "Catalog.id", 99) in said
    assert ("field", "Catalog.id", 99) not in set(described(catalogs_pb2.DESCRIPTOR))
