"""A place where an identity provider of a test publishes its keys: HTTPS on a free port, which does as it is told."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tls.authorities import Authority, Pair

PATH = "/keys.json"


class Publisher:
    """What is answered, and the paths and ETags that were asked for."""

    def __init__(self, port: int) -> None:
        self.host = f"localhost:{port}"
        self.body = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.drip_seconds = 0.0
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"https://{self.host}{PATH}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One request."""
        known = handler.headers.get("If-None-Match", "")
        self.asked.append((handler.path, known))
        unchanged = known and known == self.headers.get("ETag")
        body = b"" if unchanged else self.body
        handler.send_response(304 if unchanged else self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        step = 1 if self.drip_seconds else len(body) or 1
        for start in range(0, len(body), step):
            handler.wfile.write(body[start : start + step])
            time.sleep(self.drip_seconds)


@contextmanager
def publishing(pair: Pair, directory: Path) -> Iterator[Publisher]:
    """Serves with a certificate until the block ends."""
    chain, key = directory / "publisher.pem", directory / "publisher.key"
    pair.write(chain, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                publisher.answer(self)
            except OSError:
                self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            """A client that does not trust us is no error of ours."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    publisher = Publisher(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield publisher
    finally:
        server.shutdown()
        server.server_close()


def trusting(authority: Authority) -> ssl.SSLContext:
    """A context that trusts an authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.certificate.decode())
    return context
