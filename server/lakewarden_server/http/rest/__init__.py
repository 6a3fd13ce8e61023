"""The identity calls of the Databricks API that are no SCIM: each becomes calls of RPCs, and nothing is decided here."""
