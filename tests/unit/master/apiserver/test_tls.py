"""The listener for real, on a loopback address: certificates, ALPN, and clients that are none."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from orchestr8 import limits
from orchestr8.master.apiserver.messages import Certificate, Request, Response
from orchestr8.master.apiserver.transport.http import serve_http
from orchestr8.pki import ca, certificates, contexts
from orchestr8.pki.files import Identity

NOW = dt.datetime.now(dt.UTC)
HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def authority() -> ca.Authority:
    return ca.create(NOW)


def _identity(authority: ca.Authority, subject: certificates.Subject) -> Identity:
    key = ca.new_key()
    certificate_pem = certificates.issue(authority, key.public_key(), subject, NOW)
    return Identity(authority.certificate_pem, certificate_pem, ca.key_to_pem(key))


class Seen:
    def __init__(self) -> None:
        self.certificates: list[Certificate | None] = []

    async def answer(self, request: Request) -> Response:
        self.certificates.append(request.certificate)
        return Response(body=b"{}")


@asynccontextmanager
async def listening(authority: ca.Authority, seen: Seen) -> AsyncIterator[int]:
    """The port of a server with a master's certificate; it has ended cleanly when the block has."""
    tls = contexts.api_server(_identity(authority, certificates.master("m1", (HOST,))))
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[tuple[str, int]]) -> None:
            await serve_http(
                seen.answer, tls, HOST, 0, gate=lambda request: None, stopping=stopping, task_status=task_status
            )

        _, port = await nursery.start(serve)
        yield port
        stopping.set()


def _client(authority: ca.Authority, identity: Identity | None, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    if identity is not None:
        (folder / "pair.pem").write_bytes(identity.certificate_pem + b"\n" + identity.key_pem)
        context.load_cert_chain(folder / "pair.pem")
    return context


async def _ask(port: int, context: ssl.SSLContext) -> tuple[str | None, bytes]:
    """(the protocol agreed on, the status line)."""
    tcp = await trio.open_tcp_stream(HOST, port)
    async with trio.SSLStream(tcp, context, server_hostname=HOST, https_compatible=True) as stream:
        await stream.send_all(b"GET /1 HTTP/1.1\r\nHost: m1\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := await stream.receive_some(65536):
            answer += bytes(data)
        return stream.selected_alpn_protocol(), answer.split(b"\r\n")[0]


async def _is_refused(port: int, context: ssl.SSLContext) -> bool:
    """No byte of an answer came. In TLS 1.3 a client may believe for a moment that it was let in."""
    try:
        return (await _ask(port, context))[1] == b""
    except (trio.BrokenResourceError, ssl.SSLError):
        return True


async def test_a_client_certificate_tells_who_asks(authority: ca.Authority, tmp_path: Path) -> None:
    seen = Seen()
    async with listening(authority, seen) as port:
        admin = _client(authority, _identity(authority, certificates.admin()), tmp_path)
        assert await _ask(port, admin) == ("http/1.1", b"HTTP/1.1 200 OK")
        node = _client(authority, _identity(authority, certificates.node("w1")), tmp_path)
        await _ask(port, node)
        await _ask(port, _client(authority, None, tmp_path))
    assert seen.certificates == [
        Certificate("kubernetes-admin", ("system:masters",)),
        Certificate("system:node:w1", ("system:nodes",)),
        None,
    ]


async def test_a_certificate_of_another_ca_is_refused_before_anything_is_read(
    authority: ca.Authority, tmp_path: Path
) -> None:
    seen = Seen()
    stranger = _identity(ca.create(NOW), certificates.admin())
    async with listening(authority, seen) as port:
        assert await _is_refused(port, _client(authority, stranger, tmp_path))
        assert (await _ask(port, _client(authority, None, tmp_path)))[1] == b"HTTP/1.1 200 OK"
    assert seen.certificates == [None]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: m1\r\n\r\n", b"", b"\x16\x03\x01\x00\x05hello"])
async def test_who_speaks_no_tls_is_closed_and_nobody_else_notices(
    authority: ca.Authority, tmp_path: Path, sent: bytes
) -> None:
    seen = Seen()
    async with listening(authority, seen) as port:
        async with await trio.open_tcp_stream(HOST, port) as tcp:
            if sent:
                await tcp.send_all(sent)
            else:
                await tcp.send_eof()
            with trio.fail_after(5):
                with contextlib.suppress(trio.BrokenResourceError):
                    while await tcp.receive_some(65536):
                        pass
        assert (await _ask(port, _client(authority, None, tmp_path)))[1] == b"HTTP/1.1 200 OK"


async def test_who_speaks_http_without_tls_is_told_so(authority: ca.Authority) -> None:
    async with listening(authority, Seen()) as port:
        async with await trio.open_tcp_stream(HOST, port) as tcp:
            await tcp.send_all(b"GET / HTTP/1.1\r\nHost: m1\r\n\r\n")
            answer = b""
            while data := await tcp.receive_some(65536):
                answer += data
        assert answer.startswith(b"HTTP/1.0 400 ") and b"HTTPS only" in answer


async def test_old_tls_is_refused(authority: ca.Authority, tmp_path: Path) -> None:
    async with listening(authority, Seen()) as port:
        old = _client(authority, None, tmp_path)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await _ask(port, old))[1] == b"HTTP/1.1 200 OK"
        with pytest.warns(DeprecationWarning):
            old.minimum_version = ssl.TLSVersion.TLSv1_1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        assert await _is_refused(port, old)


async def test_connections_whose_handshake_is_not_done_are_bounded(
    authority: ca.Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HTTP_HALF_OPEN", 1)
    async with listening(authority, Seen()) as port:
        async with await trio.open_tcp_stream(HOST, port):
            async with await trio.open_tcp_stream(HOST, port) as second:
                with trio.fail_after(5):
                    assert await second.receive_some(1) == b""
