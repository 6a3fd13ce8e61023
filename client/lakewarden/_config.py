"""Where the client's settings come from: arguments, then environment, then the profile file.

The only module of the client that reads the environment.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lakewarden._errors import ConfigurationError

DEFAULT_ENDPOINT = "localhost:50051"
DEFAULT_PROFILE = "default"
DEFAULT_TIMEOUT_SECONDS = 10.0
_KEYS = ("endpoint", "token", "workspace", "ca_file", "cert_file", "key_file", "insecure")


@dataclass(frozen=True)
class Profile:
    """One named set of settings in the profile file."""

    endpoint: str = ""
    token: str = field(default="", repr=False)
    workspace: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure: bool = False


@dataclass(frozen=True)
class ProfileFile:
    """The whole profile file: the profiles by name, and the one used when none is named."""

    current: str = DEFAULT_PROFILE
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def with_profile(self, name: str, profile: Profile) -> ProfileFile:
        """Return a copy in which `name` is `profile`."""
        return replace(self, profiles={**self.profiles, name: profile})

    def without_profile(self, name: str) -> ProfileFile:
        """Return a copy without `name`; the default becomes current when the current one goes."""
        kept = {other: profile for other, profile in self.profiles.items() if other != name}
        return ProfileFile(current=DEFAULT_PROFILE if self.current == name else self.current, profiles=kept)


@dataclass(frozen=True)
class Settings:
    """What a client was told to use, everything resolved."""

    endpoint: str
    token: str = field(repr=False)
    workspace: str
    ca_file: str
    cert_file: str
    key_file: str
    insecure: bool
    profile: str


def profile_path(environment: Mapping[str, str] | None = None) -> Path:
    """Path of the profile file, by the XDG base directory specification."""
    values = os.environ if environment is None else environment
    base = values.get("XDG_CONFIG_HOME", "")
    # The specification says that a relative path there is to be ignored.
    root = (
        Path(base)
        if base and Path(base).is_absolute()
        else Path(values.get("HOME") or "~").expanduser() / ".config"
    )
    return root / "lakewarden" / "profiles.toml"


def read_profiles(path: Path | None = None) -> ProfileFile:
    """Read the profile file; an absent one is empty.

    Raises ConfigurationError when it is malformed, or holds a token that other users could read.
    """
    path = path or profile_path()
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except FileNotFoundError:
        return ProfileFile()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}", reason="PROFILE_FILE_INVALID") from None
    found = {name: _profile(path, name, values) for name, values in dict(tables.get("profiles", {})).items()}
    if any(profile.token for profile in found.values()) and path.stat().st_mode & 0o077:
        raise ConfigurationError(
            f"{path} holds tokens and other users may read it. Run: chmod 600 {path}",
            reason="PROFILE_FILE_EXPOSED",
        )
    return ProfileFile(current=str(tables.get("current", DEFAULT_PROFILE)), profiles=found)


def _profile(path: Path, name: str, values: object) -> Profile:
    """One profile out of the file's table; unknown keys are left to newer versions."""
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: profile {name} is not a table", reason="PROFILE_FILE_INVALID")
    texts = {key: values.get(key, "") for key in _KEYS if key != "insecure"}
    insecure = values.get("insecure", False)
    if not isinstance(insecure, bool) or not all(isinstance(text, str) for text in texts.values()):
        raise ConfigurationError(
            f"{path}: profile {name} has a value of the wrong type", reason="PROFILE_FILE_INVALID"
        )
    return Profile(insecure=insecure, **texts)


def write_profiles(profile_file: ProfileFile, path: Path | None = None) -> Path:
    """Write the profile file whole: mode 0600 from its first byte, and never half written. Returns its path."""
    path = path or profile_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp creates with mode 0600, so there is no moment at which a token lies open.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".profiles-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(_toml(profile_file))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}", reason="PROFILE_FILE_INVALID") from None
    return path


def _toml(profile_file: ProfileFile) -> str:
    """The file's text; only what `_KEYS` names is ever written."""
    lines = [f"current = {_toml_string(profile_file.current)}"]
    for name, profile in sorted(profile_file.profiles.items()):
        lines += ["", f"[profiles.{_toml_string(name)}]"]
        lines += [
            f"{key} = {_toml_string(value)}"
            for key in _KEYS
            if isinstance(value := getattr(profile, key), str) and value
        ]
        lines += ["insecure = true"] if profile.insecure else []
    return "\n".join(lines) + "\n"


def _toml_string(text: str) -> str:
    """A TOML basic string; control characters and the two special ones are escaped."""
    escaped = "".join(
        f"\\u{ord(character):04x}" if ord(character) < 0x20 or character in '"\\\x7f' else character
        for character in text
    )
    return f'"{escaped}"'


def resolve(
    *,
    endpoint: str | None = None,
    token: str | None = None,
    workspace: str | None = None,
    profile: str | None = None,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
    insecure: bool = False,
    environment: Mapping[str, str] | None = None,
    profile_may_be_new: bool = False,
) -> Settings:
    """Settle each setting: an argument wins over the environment, and that over the profile.

    None means not given; an empty string is a value (no token, no workspace). A profile's token goes only to that
    profile's endpoint: naming another endpoint must not hand a stored secret to it. When everything is given, the
    profile file is not even read. Raises ConfigurationError.
    """
    values = os.environ if environment is None else environment
    if profile is None and None not in (endpoint, token, workspace):
        name, stored = "", Profile()
    else:
        name, stored = _chosen_profile(profile, values, may_be_new=profile_may_be_new)
    own_endpoint = stored.endpoint or DEFAULT_ENDPOINT
    chosen_endpoint = _first(endpoint, values.get("LAKEWARDEN_ENDPOINT"), own_endpoint)
    same = chosen_endpoint == own_endpoint
    return Settings(
        endpoint=chosen_endpoint,
        token=_first(token, values.get("LAKEWARDEN_TOKEN"), stored.token if same else ""),
        workspace=_first(workspace, values.get("LAKEWARDEN_WORKSPACE"), stored.workspace if same else ""),
        ca_file=_first(ca_file, None, stored.ca_file if same else ""),
        cert_file=_first(cert_file, None, stored.cert_file if same else ""),
        key_file=_first(key_file, None, stored.key_file if same else ""),
        insecure=insecure or (same and stored.insecure),
        profile=name,
    )


def _chosen_profile(
    profile: str | None, values: Mapping[str, str], *, may_be_new: bool
) -> tuple[str, Profile]:
    """Name and content of the profile to use; one that was named must exist, unless it is about to be made."""
    named = profile or values.get("LAKEWARDEN_PROFILE") or ""
    profile_file = read_profiles(profile_path(values))
    name = named or profile_file.current
    if named and named not in profile_file.profiles and not may_be_new:
        raise ConfigurationError(
            f"there is no profile {named}. Make it: lakewarden login --profile {named}",
            reason="PROFILE_UNKNOWN",
        )
    if name in profile_file.profiles:
        return name, profile_file.profiles[name]
    # One that is about to be made is of the same server, unless it is said otherwise; token and workspace are its own.
    current = profile_file.profiles.get(profile_file.current, Profile())
    return name, replace(current, token="", workspace="")


def _first(argument: str | None, environment: str | None, fallback: str) -> str:
    """The argument when given, else the environment's value when not empty, else the fallback."""
    if argument is not None:
        return argument
    return environment or fallback


def profile_name(profile: str | None = None) -> str:
    """Name of the profile that a command works on, whether it exists yet or not."""
    return profile or os.environ.get("LAKEWARDEN_PROFILE") or read_profiles().current


def environment_token() -> str:
    """The token in the environment, empty when there is none."""
    return os.environ.get("LAKEWARDEN_TOKEN", "")


def environment_secret(name: str) -> str:
    """The secret in an environment variable that a governance file names; empty when it is not set."""
    return os.environ.get(name, "")


def colour_wanted() -> bool:
    """Whether the user has not switched colours off (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def silence_grpc() -> None:
    """Keep gRPC's own log off stderr, unless the user asked for it. To be called before gRPC is imported."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def debug_wanted() -> bool:
    """Whether tracebacks are wanted for unexpected errors (LAKEWARDEN_DEBUG=1)."""
    return os.environ.get("LAKEWARDEN_DEBUG", "") not in ("", "0")
