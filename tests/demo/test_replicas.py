"""The act of two servers: it passes as it stands, and fails when the second server answers from an old state."""

from __future__ import annotations

import io

import pytest

from consistency.broken import SkipsHeadRead
from lakewarden import LakewardenError
from lakewarden_server import app as composition
from lakewarden_server.app import App
from lakewarden_server.config import Settings
from lakewarden_server.demo import replicas
from lakewarden_server.demo.acts import DemoFailed
from lakewarden_server.demo.replicas import ROUNDS, two_servers
from lakewarden_server.demo.screen import Screen


@pytest.fixture
def screen() -> Screen:
    return Screen(io.StringIO(), io.StringIO(), width=100)


def test_a_revoke_on_one_server_is_a_denial_on_the_other(database_url: str, screen: Screen) -> None:
    two_servers(database_url, screen)
    assert isinstance(screen.output, io.StringIO)
    assert f"denied by its very next call, {ROUNDS} times of {ROUNDS}" in screen.output.getvalue()


def stale_app(settings: Settings) -> App:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "Follower", SkipsHeadRead)
        return App(settings)


def test_control_a_second_server_that_does_not_look_fails_the_demo(
    database_url: str, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "App", stale_app)
    # To a state of before, the reader's token is unknown too.
    with pytest.raises((DemoFailed, LakewardenError)):
        two_servers(database_url, screen)
