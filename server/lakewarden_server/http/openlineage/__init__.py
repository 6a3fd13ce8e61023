"""OpenLineage over HTTP: what its clients send by default, `POST /api/v1/lineage` and `/api/v1/lineage/batch`."""
