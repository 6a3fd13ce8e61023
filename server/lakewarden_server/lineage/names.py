"""One spelling for each dataset, whatever its producer calls it: what OpenLineage's `namespace` and `name` become before
anything is compared (OpenLineage spec, naming.md; reference/lineage.md 2.4).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from lakewarden_policy.names import name_key
from lakewarden_server.core.urls import InvalidUrl, canonical_url

NAME_CHARACTERS_MAX: Final = 4_000
"""Of a namespace, a name and a column, each."""
NAMES_KEPT_MAX: Final = 10_000
KEPT_CHARACTERS_MAX: Final = 512
"""Of a name that is kept: ten thousand of the longest would be hundreds of megabytes, for anybody who asks to fill."""
ROUNDS_MAX: Final = 5
LOCATION_BYTES_MAX: Final = 2_048
"""Of where a path lies, which stands in an index: as long as a storage URL may be."""

UNITY_CATALOG: Final = "unitycatalog"
"""The scheme of our own tables, and of everybody's who keeps a Unity Catalog."""


class NameInvalid(ValueError):
    """A namespace, name or column nobody could store or look up; the message is the reason code."""


class AssetKind(StrEnum):
    """What an edge can begin and end at."""

    DATASET = "DATASET"
    JOB = "JOB"
    SECURABLE = "SECURABLE"
    """A securable of ours by its id, which stands beside the names it is known by and outlives them."""

    # As of any text, and not Enum's, which is a call of Python for each name that a set or a mapping is asked for.
    __hash__ = str.__hash__


class AssetName(NamedTuple):
    """A dataset, or a job that takes part in lineage itself, by its canonical name."""

    kind: AssetKind
    namespace: str
    name: str


_ALIASES: Final = {
    "postgresql": "postgres",
    "s3a": "s3",
    "s3n": "s3",
    "gcs": "gs",
    "abfs": "abfss",
    "wasb": "wasbs",
    "mssql": "sqlserver",
}
"""Schemes that are second names of one system."""
_PORTS: Final = {
    "postgres": "5432",
    "mysql": "3306",
    "sqlserver": "1433",
    "oracle": "1521",
    "redshift": "5439",
    "kafka": "9092",
    "mongodb": "27017",
    "cassandra": "9042",
    "hdfs": "8020",
    "hive": "9083",
    "unitycatalog": "443",
}
"""What a port is when it is not said."""
_OBJECT_STORES: Final = frozenset({"s3", "gs", "abfss", "wasbs", "r2", "oss", "cos"})
_FILE_SYSTEMS: Final = frozenset({"file", "hdfs", "dbfs", "maprfs", "webhdfs"})
_FILE_DATABASES: Final = frozenset({"duckdb", "sqlite"})
"""Systems whose database is a file: behind the scheme stands its path, whose case and first slash tell files apart."""
_LOWER: Final = frozenset({"hive", "trino", "presto", "redshift", "awsathena", "glue"})
"""Systems that fold what is not quoted to lower case and keep nothing else."""
_UPPER: Final = frozenset({"snowflake"})
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<slashes>/{0,3})(?P<rest>.*)", re.DOTALL)
_MOUNTS: Final = "dbfs"
"""The namespace in which producers name what is in a volume; some of them say `file`."""
_VOLUMES: Final = "/Volumes/"
VOLUMES_SCHEME: Final = "volumes://"
"""Of where paths lie that name a volume; no storage has it."""
_PARTITION: Final = re.compile(r"[^/=]+=[^/]*")
_PATTERN: Final = re.compile(r"\*|\?|\[[^][/]+\]|\{[^{},]*,[^{}]*\}")
"""Where a glob of Spark, DuckDB or a shell begins; brackets that do not close and braces without a choice are text. Each letter is looked at a few times at most."""
_FILE: Final = re.compile(r"[^/=]+\.[A-Za-z0-9.]+")


def check_name(text: object) -> str:
    """A namespace, name or column as text that both databases hold. Raises `NameInvalid`."""
    if not isinstance(text, str) or not text:
        raise NameInvalid("NAME_MISSING")
    if len(text) > NAME_CHARACTERS_MAX:
        raise NameInvalid("NAME_TOO_LONG")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise NameInvalid("NAME_INVALID")
    if "\x00" in text:
        raise NameInvalid("NAME_INVALID")
    return text


def dataset_name(namespace: str, name: str) -> AssetName:
    """The canonical name of a dataset; of two spellings of one dataset the same. Idempotent.

    A name that has a rule for its system is changed by it; any other stays as it was written. Raises `NameInvalid`.
    """
    is_long = len(check_name(namespace)) + len(check_name(name)) > KEPT_CHARACTERS_MAX
    return _dataset_name(namespace, name) if is_long else _kept_dataset_name(namespace, name)


def _dataset_name(namespace: str, name: str) -> AssetName:
    namespace, name = namespace.strip(), name.strip()
    if not namespace or not name:
        raise NameInvalid("NAME_MISSING")
    # What one rule leaves behind may be something for another: once more, until nothing changes.
    for _ in range(ROUNDS_MAX):
        scheme, canonical = _namespace(namespace)
        changed = canonical.strip() or namespace, _name(scheme, canonical, name).strip() or name
        if changed == (namespace, name):
            break
        namespace, name = changed
    return AssetName(AssetKind.DATASET, namespace, name)


_kept_dataset_name: Final = lru_cache(NAMES_KEPT_MAX)(_dataset_name)


class VolumeFile(NamedTuple):
    """A file in a volume, or the volume itself, by the name that the volume had for whoever said it."""

    volume: str
    """In full, `catalog.schema.volume`."""
    file_path: str
    """Below the volume; empty for the volume itself."""


def path_name(url: str) -> AssetName:
    """The canonical name of a path, by its URL or as `/Volumes/catalog/schema/volume/…`. Raises `NameInvalid`."""
    mounted = _in_volumes(url)
    if mounted:
        return dataset_name(_MOUNTS, mounted)
    scheme, separator, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return dataset_name(f"{scheme}{separator}{bucket}", key or "/")


def job_name(namespace: str, name: str) -> AssetName:
    """The name of a job, which no rule changes: schedulers tell case apart. Raises `NameInvalid`."""
    return AssetName(AssetKind.JOB, check_name(namespace), check_name(name))


def is_path(text: str) -> bool:
    """Whether a text says where something is by itself: a URL, or a path of a volume."""
    return "://" in text or bool(_in_volumes(text))


def _in_volumes(text: str) -> str:
    mounted = text.removeprefix(f"{_MOUNTS}:")
    return mounted if mounted.startswith(_VOLUMES) else ""


def securable_name(securable_id: str, file_path: str = "") -> AssetName:
    """What stands for a securable among the names of its asset; for a file in it where it is a volume and the path in it is said."""
    return AssetName(AssetKind.SECURABLE, file_path, securable_id)


def volume_file(name: AssetName) -> VolumeFile | None:
    """What a name of the form `/Volumes/catalog/schema/volume/…` says; None for any other, and where its text could be read as two places."""
    scheme = name.namespace.partition("://")[0]
    # Where Databricks' files are named with a workspace, volumes are those of its metastore all the same.
    if scheme not in (_MOUNTS, "file") or not name.name.startswith(_VOLUMES):
        return None
    try:
        canonical_url(f"file://{name.name}")
    except InvalidUrl:
        return None
    catalog, slash, rest = name.name.removeprefix(_VOLUMES).partition("/")
    schema, other, rest = rest.partition("/")
    volume, _, file_path = rest.partition("/")
    # A dot would end a part of the full name before the slash does.
    is_full = slash and other and volume and "." not in f"{catalog}{schema}{volume}"
    return VolumeFile(f"{catalog}.{schema}.{volume}", file_path) if is_full else None


def volume_path(full_name: str, file_path: str) -> str:
    """`/Volumes/catalog/schema/volume/…` of a file in a volume, or of the volume itself."""
    return "/".join((_VOLUMES.rstrip("/"), *full_name.split("."), *([file_path] if file_path else [])))


def location(name: AssetName) -> str | None:
    """Where a path lies, so that all in a directory follow each other: its canonical URL, or `volumes://` and a volume's name in its key.

    None for what is no path, and for a path that could be read as two.
    """
    if name.kind is not AssetKind.DATASET:
        return None
    is_long = len(name.namespace) + len(name.name) > KEPT_CHARACTERS_MAX
    return _location(name) if is_long else _kept_location(name)


def _location(name: AssetName) -> str | None:
    said = volume_file(name)
    if said is not None:
        found = "/".join((volume_location(said.volume), *([said.file_path] if said.file_path else [])))
        return found if len(found.encode()) <= LOCATION_BYTES_MAX else None
    url = storage_url(name)
    try:
        return canonical_url(url) if url else None
    except InvalidUrl:
        return None


_kept_location: Final = lru_cache(NAMES_KEPT_MAX)(_location)


def volume_location(full_name: str) -> str:
    """Where the paths that name a volume lie."""
    return f"{VOLUMES_SCHEME}{name_key(full_name).replace('.', '/')}"


def own_full_name(name: AssetName, own_hosts: Collection[str] = ()) -> str:
    """`catalog.schema.table` of a name in the Unity Catalog at one of these hosts, or at any if none is said; else empty."""
    return name.name if is_own(name, own_hosts) else ""


def is_own(name: AssetName, own_hosts: Collection[str]) -> bool:
    """Whether a name is one in the Unity Catalog at one of these hosts, or at any if none is said."""
    scheme, _, rest = name.namespace.partition(":")
    return scheme == UNITY_CATALOG and (not own_hosts or rest.strip("/") in own_hosts)


def hosts_of(own_hosts: frozenset[str], metastore_id: str) -> frozenset[str]:
    """The hosts at which names are a metastore's: what this server writes itself, from SQL, has the metastore's id for a host."""
    return own_hosts and own_hosts | {metastore_id}


def catalog_digest(full_name: str) -> str:
    """What names in Unity Catalogs are found by, at whichever host: of `catalog.schema.table` in its canonical spelling."""
    return hashlib.sha256(full_name.encode()).hexdigest()


def found_by(name: AssetName) -> Mapping[str, str | None]:
    """What a name is found by when something is registered by it, or where it lies."""
    is_long = len(name.namespace) + len(name.name) > KEPT_CHARACTERS_MAX
    return _found_by(name) if is_long else _kept_found_by(name)


def _found_by(name: AssetName) -> Mapping[str, str | None]:
    own = own_full_name(name) if name.kind is AssetKind.DATASET else ""
    return {"catalog_digest": catalog_digest(own) if own else None, "location": location(name)}


_kept_found_by: Final = lru_cache(NAMES_KEPT_MAX)(_found_by)


def name_digest(name: AssetName) -> str:
    """What a name is found by in the tables."""
    is_long = len(name.namespace) + len(name.name) > KEPT_CHARACTERS_MAX
    return _name_digest(name) if is_long else _kept_name_digest(name)


def _name_digest(name: AssetName) -> str:
    return hashlib.sha256(json.dumps(name).encode()).hexdigest()


_kept_name_digest: Final = lru_cache(NAMES_KEPT_MAX)(_name_digest)


def storage_url(name: AssetName) -> str:
    """The URL of a dataset that is a path in storage; empty for any other."""
    scheme, _, authority = name.namespace.partition("://")
    if scheme in _OBJECT_STORES:
        return f"{name.namespace}/{name.name.lstrip('/')}" if authority else ""
    return f"file://{name.name}" if name.namespace == "file" else ""


def _namespace(namespace: str) -> tuple[str, str]:
    """The scheme, empty where there is none, and the canonical namespace."""
    found = _SCHEME.fullmatch(namespace)
    if found is None:
        scheme = namespace.lower()
        return (scheme, scheme) if scheme in _FILE_SYSTEMS | {"bigquery"} else ("", namespace)
    scheme = _ALIASES.get(found["scheme"].lower(), found["scheme"].lower())
    rest = found["rest"].rstrip("/")
    if scheme == "file" and len(found["slashes"]) != 2:
        # `file:/warehouse` and `file:///warehouse` are one directory, and the root of all is said in no path.
        rest = rest.strip("/")
        return scheme, f"file:/{rest}" if rest else "file"
    if not rest and (not found["slashes"] or scheme == _MOUNTS):
        return scheme, scheme
    if scheme in _FILE_DATABASES and len(found["slashes"]) > 1 and rest:
        return scheme, f"{scheme}:{found['slashes']}{rest}"
    if len(found["slashes"]) < 2:
        return scheme, f"{scheme}:{found['slashes']}{rest}"
    authority, slash, path = rest.partition("/")
    if not authority and not path:
        return scheme, scheme
    return scheme, f"{scheme}://{_authority(scheme, authority)}{slash}{path}"


def _authority(scheme: str, authority: str) -> str:
    """Host and port, comma by comma (Kafka lists its brokers), without the port everybody assumes."""
    account, at, hosts = authority.rpartition("@")
    port = _PORTS.get(scheme)
    if scheme not in _UPPER:
        hosts = hosts.lower()
    if port:
        hosts = ",".join(sorted(host.removesuffix(f":{port}") for host in hosts.split(",")))
    return f"{account}{at}{hosts}"


def _name(scheme: str, namespace: str, name: str) -> str:
    if scheme in _OBJECT_STORES:
        return _path(name).lstrip("/") or "/"
    if scheme in _FILE_SYSTEMS and ("/" in name or namespace == scheme):
        return f"/{_path(name).lstrip('/')}"
    if scheme == UNITY_CATALOG:
        return name_key(name)
    if scheme in _LOWER:
        return name.replace("`", "").lower()
    if scheme in _UPPER:
        return ".".join(_upper(part) for part in name.split("."))
    return name


def _upper(part: str) -> str:
    """Upper case, unless it is quoted to be something else; quotes that change nothing go."""
    quoted = len(part) > 2 and part[0] == part[-1] == '"'
    return part if quoted and part.upper() != part else part.strip('"').upper()


def _path(name: str) -> str:
    """A path without what the same dataset is sometimes said with: slashes at its end, its partitions, a file in one.

    Of a pattern the deepest folder that all it may match lies in: which files it matched nobody says.
    """
    pattern = _PATTERN.search(name)
    if pattern:
        name = name[: name.rfind("/", 0, pattern.start()) + 1]
    parts = name.split("/")
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    last = len(parts)
    if last > 2 and _FILE.fullmatch(parts[-1]) and _PARTITION.fullmatch(parts[-2]):
        last -= 1
    while last > 1 and _PARTITION.fullmatch(parts[last - 1]):
        last -= 1
    stripped = "/".join(parts[:last])
    # Of a pattern in the uppermost folder nothing is left, which is that folder.
    return stripped if stripped.strip("/") else "/".join(parts)
