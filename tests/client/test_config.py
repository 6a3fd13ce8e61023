from __future__ import annotations

from pathlib import Path

import pytest

from lakewarden._config import Profile, ProfileFile, profile_path, read_profiles, resolve, write_profiles
from lakewarden._errors import ConfigurationError


def _stored(**values: str) -> None:
    write_profiles(
        ProfileFile(current="p", profiles={"p": Profile(**values), "other": Profile(endpoint="o:1")})
    )


def test_argument_wins_over_environment_and_environment_over_profile(home: Path) -> None:
    _stored(endpoint="file:1", workspace="file", token="lwpat_file")
    environment = {"XDG_CONFIG_HOME": str(home)}
    assert resolve(environment=environment).workspace == "file"
    environment |= {
        "LAKEWARDEN_ENDPOINT": "file:1",
        "LAKEWARDEN_WORKSPACE": "env",
        "LAKEWARDEN_TOKEN": "lwpat_env",
    }
    assert resolve(environment=environment).workspace == "env"
    assert resolve(environment=environment).token == "lwpat_env"
    settings = resolve(workspace="argument", token="lwpat_argument", environment=environment)
    assert (settings.workspace, settings.token) == ("argument", "lwpat_argument")


def test_empty_argument_is_a_value_and_none_is_not(home: Path) -> None:
    _stored(endpoint="file:1", workspace="file", token="lwpat_file")
    assert resolve(token="", workspace="").token == ""
    assert resolve(token=None).token == "lwpat_file"


def test_named_profile_wins_over_the_current_one(home: Path) -> None:
    _stored(endpoint="file:1")
    assert resolve(profile="other").endpoint == "o:1"
    assert (
        resolve(environment={"XDG_CONFIG_HOME": str(home), "LAKEWARDEN_PROFILE": "other"}).endpoint == "o:1"
    )


def test_stored_token_is_not_sent_to_another_endpoint(home: Path) -> None:
    _stored(endpoint="file:1", token="lwpat_file", workspace="file")
    elsewhere = resolve(endpoint="evil:1")
    assert (elsewhere.token, elsewhere.workspace) == ("", "")
    assert resolve(endpoint="file:1").token == "lwpat_file"


def test_unknown_profile_is_an_error(home: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(profile="absent")
    assert caught.value.reason == "PROFILE_UNKNOWN"


def test_nothing_configured_means_localhost_without_token(home: Path) -> None:
    settings = resolve()
    assert (settings.endpoint, settings.token, settings.workspace) == ("localhost:50051", "", "")


def test_everything_given_leaves_a_broken_profile_file_alone(home: Path) -> None:
    profile_path().parent.mkdir(parents=True)
    profile_path().write_text("not toml [")
    assert resolve(endpoint="a:1", token="lwpat_a", workspace="").endpoint == "a:1"
    with pytest.raises(ConfigurationError):
        resolve()


def test_profile_file_is_private_and_survives_a_round_trip(home: Path) -> None:
    awkward = ProfileFile(
        current='a "b" \\ c',
        profiles={
            'a "b" \\ c': Profile(endpoint="h:1", token="lwpat_x", workspace="Köln\n\x07", insecure=True),
            "z": Profile(),
        },
    )
    path = write_profiles(awkward)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path == home / "lakewarden" / "profiles.toml"
    assert read_profiles() == awkward
    assert [found.name for found in path.parent.iterdir()] == ["profiles.toml"]


def test_token_readable_by_others_is_refused(home: Path) -> None:
    path = write_profiles(ProfileFile(profiles={"default": Profile(token="lwpat_x")}))
    path.chmod(0o644)
    with pytest.raises(ConfigurationError) as caught:
        read_profiles()
    assert caught.value.reason == "PROFILE_FILE_EXPOSED"
    assert "lwpat_x" not in str(caught.value)


@pytest.mark.parametrize("text", ["x = [", "[profiles]\ndefault = 3", "[profiles.default]\ntoken = 3"])
def test_malformed_profile_file_is_an_error(home: Path, text: str) -> None:
    profile_path().parent.mkdir(parents=True)
    profile_path().write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_profiles()
    assert caught.value.reason == "PROFILE_FILE_INVALID"


def test_relative_xdg_path_is_ignored() -> None:
    assert profile_path({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}) == Path(
        "/h/.config/lakewarden/profiles.toml"
    )


def test_no_representation_shows_a_token() -> None:
    assert "lwpat_x" not in repr(Profile(token="lwpat_x"))
    assert "lwpat_x" not in repr(resolve(token="lwpat_x"))
