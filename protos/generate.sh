#!/usr/bin/env bash
# Regenerates client/lakewarden/v1 from protos/ with a compiler of its own, apart from the development environment.
# grpcio-tools is held at 1.76.0: its code runs on protobuf 6.31.1 to 7.x and grpcio 1.76 onwards.
set -euo pipefail
cd "$(dirname "$0")/.."
env=${PROTO_ENV:-var/proto-env}
if [ ! -x "$env/bin/python" ]; then
  python3 -m venv "$env"
  "$env/bin/pip" install --quiet 'grpcio-tools==1.76.0' 'mypy-protobuf==5.1.0' 'googleapis-common-protos==1.76.0' 'setuptools'
fi
includes=$("$env/bin/python" -c 'import google.rpc, pathlib; print(pathlib.Path(google.rpc.__path__[0]).parents[1])')
PATH="$PWD/$env/bin:$PATH" "$env/bin/python" -m grpc_tools.protoc \
  --proto_path=protos --proto_path="$includes" \
  --python_out=client --grpc_python_out=client --mypy_out=readable_stubs:client --mypy_grpc_out=readable_stubs:client \
  protos/lakewarden/v1/*.proto
printf '"""Generated protobuf messages and gRPC stubs of the API. Do not edit: run `make protos`."""\n' > client/lakewarden/v1/__init__.py
