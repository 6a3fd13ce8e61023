"""A server that asks its clients for certificates, and clients that show some."""

from __future__ import annotations

import itertools
import ssl

import httpx2
import pytest

from lakewarden import Client, LakewardenError
from tls.authorities import Authority, Pair
from tls.conftest import TlsServer

SPARK = "spiffe://example.com/lake/spark"


class Mutual:
    """A server that asks clients for certificates of one CA, and an admin whose certificate stands for nobody."""

    def __init__(self, server: TlsServer) -> None:
        self.server, self.authority = server, Authority("Client CA")
        self._numbers = itertools.count()
        admin = server.server.app
        (server.directory / "client-ca.pem").write_bytes(self.authority.certificate)
        server.start(tls_client_ca_file=server.directory / "client-ca.pem")
        assert server.server.app is not admin
        self.admin = self.client(self.authority.client(), token=server.server.admin_token)
        self.spark = self.admin.service_principals.create("spark").name
        self.policy = self.map(SPARK, self.spark)

    def map(self, uri: str, principal: str) -> str:
        made = self.admin.federation_policies.create_for_certificates(uri, service_principal=principal)
        return made.id

    def files(self, pair: Pair) -> tuple[str, str]:
        """The pair in files of its own."""
        number = next(self._numbers)
        chain, key = (self.server.directory / f"client-{number}.{kind}" for kind in ("pem", "key"))
        pair.write(chain, key)
        return str(chain), str(key)

    def client(self, pair: Pair, *, token: str = "") -> Client:
        chain, key = self.files(pair)
        return self.server.client(token=token, cert_file=chain, key_file=key)

    def who(self, pair: Pair, *, token: str = "") -> str:
        """Whom the server takes a new connection for."""
        with self.client(pair, token=token) as client:
            return client.session.get().principal

    def web(self, pair: Pair, *, token: str = "", **headers: str) -> httpx2.Response:
        """Asks who it is, over HTTP."""
        trusting = ssl.create_default_context(cafile=self.server.ca_file)
        trusting.load_cert_chain(*self.files(pair))
        url = f"https://{self.server.addresses['http']}/scim/v2/Me"
        sent = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        with httpx2.Client(verify=trusting, headers=sent) as client:
            return client.get(url)


def refused(mutual: Mutual, pair: Pair, *, token: str = "") -> str:
    """The reason a call is refused for."""
    with pytest.raises(LakewardenError) as failure:
        mutual.who(pair, token=token)
    return failure.value.reason or failure.value.code
