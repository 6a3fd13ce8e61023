"""Proto services made in a test: one method with the options given, in a file of its own."""

from __future__ import annotations

import itertools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, wrappers_pb2
from google.protobuf.descriptor import ServiceDescriptor

from lakewarden.v1 import rules_pb2

_numbers = itertools.count(1)


def service(*methods: tuple[str, dict[str, Any] | None], streaming: str = "") -> ServiceDescriptor:
    """A service `test<n>.ProbeService` whose methods map a StringValue to a StringValue; a rule of None is no rule.

    `streaming` is "requests" or "replies" where these come in streams.
    """
    package = f"test{next(_numbers)}"
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto",
        package=package,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name, empty_pb2.DESCRIPTOR.name, rules_pb2.DESCRIPTOR.name],
    )
    added = file.service.add(name="ProbeService")
    for name, rule in methods:
        method = added.method.add(
            name=name,
            input_type=".google.protobuf.StringValue",
            output_type=".google.protobuf.StringValue",
            client_streaming=streaming == "requests",
            server_streaming=streaming == "replies",
        )
        if rule is not None:
            method.options.Extensions[rules_pb2.rule].CopyFrom(rules_pb2.Rule(**rule))
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"{package}.ProbeService")
