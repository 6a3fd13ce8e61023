"""Generated protobuf messages and gRPC stubs of the API. Do not edit: run `make protos`."""
