"""Ten thousand tokens that are none, what a wrong one costs, and what a stolen copy of the database holds."""

from __future__ import annotations

import random
import string
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from lakewarden_server.authn.authenticator import Authenticator
from lakewarden_server.authn.tokens import ALPHABET, TokenKind, mint
from lakewarden_server.core.errors import Unauthenticated
from lakewarden_server.entities import Base
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

MUTANTS = 10_000
SECRET_BEGINS = len("lwpat_") + 22 + 1


def _checksummed(body: str) -> str:
    """The body with the checksum a forger would compute (reliability 3)."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return body + digits


def _flip(chance: random.Random, token: str, others: list[str]) -> str:
    place = chance.randrange(len(token))
    return token[:place] + chr(ord(token[place]) ^ 1 << chance.randrange(7)) + token[place + 1 :]


def _cut(chance: random.Random, token: str, others: list[str]) -> str:
    start, end = sorted(chance.sample(range(len(token) + 1), 2))
    return token[:start] + token[end:] if chance.random() < 0.5 else token[start:end]


def _lengthen(chance: random.Random, token: str, others: list[str]) -> str:
    place = chance.randrange(len(token) + 1)
    return token[:place] + chance.choice(string.printable) + token[place:]


def _forge_secret(chance: random.Random, token: str, others: list[str]) -> str:
    """Another character in the secret, with the right checksum."""
    body = token[:-6]
    place = chance.randrange(SECRET_BEGINS, len(body))
    letter = chance.choice([one for one in ALPHABET if one != body[place]])
    return _checksummed(body[:place] + letter + body[place + 1 :])


def _forge_id(chance: random.Random, token: str, others: list[str]) -> str:
    """The secret of one token under the id of another."""
    return _checksummed(chance.choice(others)[:SECRET_BEGINS] + token[SECRET_BEGINS:-6])


def _forge_kind(chance: random.Random, token: str, others: list[str]) -> str:
    return _checksummed(token[:-6].replace("lwpat", chance.choice(("lwboot", "lwsec", "lwdap", "lwpats"))))


def _strange(chance: random.Random, token: str, others: list[str]) -> str:
    return mint(chance.choice((TokenKind.PAT, TokenKind.BOOTSTRAP))).render()


MUTATIONS: tuple[Callable[[random.Random, str, list[str]], str], ...] = (
    _flip, _cut, _lengthen, _forge_secret, _forge_id, _forge_kind, _strange,
)  # fmt: skip


def test_none_of_ten_thousand_mutated_tokens_is_accepted(server: EmbeddedServer) -> None:
    admin = server.client()
    live = [admin.tokens.create(lifetime_seconds=3_600).token_value for _ in range(5)]
    revoked, expiring = admin.tokens.create(), admin.tokens.create(lifetime_seconds=1)
    admin.tokens.delete(revoked.token.id)
    with serve(workspace=False) as other:
        foreign = other.admin_token
    fresh, authenticator = server.app.follower.at_head(), Authenticator(server.app.keys)
    later = fresh.now + timedelta(seconds=2)

    def accepted(text: str) -> bool:
        try:
            authenticator.authenticate(fresh.snapshot, authenticator.read(f"Bearer {text}"), later)
        except Unauthenticated:
            return False
        return True

    assert all(map(accepted, live))
    assert not any(map(accepted, (revoked.token_value, expiring.token_value, foreign)))
    chance, tried, let_in = random.Random(20261126), 0, []
    while tried < MUTANTS:
        token = chance.choice(live)
        mutant = MUTATIONS[tried % len(MUTATIONS)](chance, token, [one for one in live if one != token])
        if mutant.strip() in live:
            continue
        tried += 1
        if accepted(mutant):
            let_in.append(mutant)
    assert let_in == []
    # Those that were verified before are remembered, and nothing that only looks like them.
    assert all(map(accepted, live))


def test_control_a_server_that_trusts_the_id_lets_mutants_in(server: EmbeddedServer) -> None:
    """Mutants reach the secret: some have a known id and a right checksum."""
    chance, token = random.Random(1), server.admin_token
    forged = _forge_secret(chance, token, [])
    assert forged[:SECRET_BEGINS] == token[:SECRET_BEGINS]
    authenticator = Authenticator(server.app.keys)
    assert authenticator.read(f"Bearer {forged}").shown is not None


@contextmanager
def _statements(server: EmbeddedServer) -> Iterator[list[str]]:
    """What this thread sends to the database meanwhile."""
    sent: list[str] = []
    here = threading.get_ident()

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if threading.get_ident() == here:
            sent.append(statement)

    engines = {server.app.database.engines.reader, server.app.database.engines.writer}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


def test_wrong_checksum_costs_no_query(both: EmbeddedServer) -> None:
    from lakewarden.v1 import sessions_pb2, users_pb2
    from lakewarden_server.core.peers import LOCAL
    from lakewarden_server.pipeline.errors import CallFailed
    from lakewarden_server.pipeline.pipeline import Incoming

    def call(token: str) -> None:
        for method, request in (
            ("/lakewarden.v1.SessionService/GetSession", sessions_pb2.GetSessionRequest()),
            ("/lakewarden.v1.UserService/GetUser", users_pb2.GetUserRequest(name="admin@example.com")),
        ):
            name = next(known for known in both.app.pipeline.methods if known.strip("/") == method.strip("/"))
            both.app.pipeline.handle(
                name, request, Incoming({"authorization": f"Bearer {token}"}, 10.0, LOCAL)
            )

    last = both.admin_token[-1]
    wrong = both.admin_token[:-1] + ("a" if last != "a" else "b")
    with _statements(both) as sent, pytest.raises(CallFailed):
        call(wrong)
    assert sent == []
    # The control: the right one does ask.
    with _statements(both) as sent:
        call(both.admin_token)
    assert sent != []


def test_copy_of_the_database_holds_no_secret(both: EmbeddedServer) -> None:
    admin = both.client()
    program = admin.service_principals.create("program").name
    texts = [both.admin_token]
    texts += [admin.tokens.create(comment="laptop", lifetime_seconds=600).token_value]
    texts += [admin.tokens.create(principal=program).token_value]
    texts += [admin.tokens.create(principal=admin.users.create("once@example.com").name).token_value]
    held = admin.tokens.create()
    texts += [held.token_value, admin.tokens.rotate(held.token.id).token_value]
    with fails("TOKEN_CHECKSUM_WRONG"):
        both.client(texts[1][:-1] + ("a" if texts[1][-1] != "a" else "b")).session.get()
    both.app.decisions.flush()
    dump = _dump(both)
    root = both.app.settings.key_file.read_text().strip() if both.app.settings.key_file.exists() else ""
    for text in texts:
        secret = text.rpartition("_")[2]
        for form in (text, secret, secret[:-6], secret.encode().hex()):
            assert form not in dump
    assert not root or root not in dump
    # The control: what is no secret is in it.
    assert held.token.id in dump
    assert "laptop" in dump


def _dump(server: EmbeddedServer) -> str:
    """Every value of every table; bytes as text and in hexadecimal."""
    values: list[str] = []
    with server.app.database.read() as view:
        for table in Base.metadata.sorted_tables:
            for row in view.connection.execute(select(table)):
                for value in row:
                    values.append(
                        value.decode(errors="replace") + value.hex()
                        if isinstance(value, bytes)
                        else str(value)
                    )
    if server.app.database.dialect == "sqlite":
        path = server.app.database.engines.writer.url.database
        for suffix in ("", "-wal"):
            with open(f"{path}{suffix}", "rb") as file:
                values.append(file.read().decode("latin-1"))
    return "\n".join(values)
