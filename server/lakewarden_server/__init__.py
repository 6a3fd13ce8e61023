"""The Lakewarden server: a gRPC metastore that decides every access."""
