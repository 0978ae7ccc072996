"""Wrong, hostile and malformed input: each is refused with words that say why, changes nothing, and service goes on."""

from __future__ import annotations

import datetime as dt
import json
import random
import ssl
import struct
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.pki import ca, certificates, tokens
from tests.cluster.api import CONFIG_MAPS, NODES, Refused, is_ready, until
from tests.cluster.cluster import API_PORT, ORCHESTR8, RPC_PORT, Cluster
from tests.cluster.lab import Host
from tests.cluster.strangers import WELCOME, Stranger

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def stranger(cluster: Cluster) -> Iterator[Stranger]:
    """Whatever it does, the state stays as it was, no master and no worker ends, and no error was a bug."""
    before = settled(cluster)
    yield Stranger(cluster)
    assert settled(cluster) == before
    assert all(process.poll() is None for process in cluster.processes.values())
    for master in cluster.masters:
        metrics = cluster.kubectl(f"--server=https://{master.ip}:{API_PORT}", "get", "--raw", "/metrics")
        assert "\norchestr8_api_unforeseen_errors_total 0\n" in metrics
    cluster.api.request("POST", f"{CONFIG_MAPS}?dryRun=All", {"metadata": {"name": "goes-on"}})
    assert all(is_ready(node) for node in cluster.api.items(NODES))


def settled(cluster: Cluster) -> list[int]:
    """The revisions at which the masters stand and stay."""
    seen: list[list[int]] = []

    def look() -> bool:
        seen.append([cluster.api.at(m.ip).get("/orchestr8/v1/status")["revision"] for m in cluster.masters])
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3] and len(set(seen[-1])) == 1

    until("the state rests", look, holds=bool, step=0.1)
    return seen[-1]


def logged(cluster: Cluster, host: Host, *words: str) -> None:
    """The master's log has a line with all these words, sooner or later."""
    log = cluster.lab.folder / f"{host.name}-master.log"
    until(
        f"{log.name} says {words}",
        lambda: log.read_text().splitlines(),
        holds=lambda lines: any(all(word in line for word in words) for line in lines),
    )


# -- the wire between our own processes -----------------------------------------------------------------------------


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def test_a_malformed_frame_is_told_to_both_ends_and_closes_its_connection(cluster: Cluster, stranger: Stranger) -> None:
    cases = [
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes was announced"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a frame of 1195725856 bytes was announced"),
        (frame(b"\x91" * 50_000), "does not hold one valid msgpack value: StackError"),
        (frame(b"\x91" * 40 + b"\xc0"), "nested deeper than 32 levels"),
        (frame(b"\xc7\x01\x05x"), "max_ext_len"),
        (frame(b"\xdd\xff\xff\xff\xff"), "max_array_len"),
        (frame(random.Random(8).randbytes(2_000)), "does not hold one valid msgpack value"),
        (frame(msgpack.packb({"what": "is this"})), "a frame must be a list"),
    ]
    for data, why in cases:
        said = stranger.say(RPC_PORT, data)
        assert said.startswith(WELCOME) and why.encode() in said
        logged(cluster, stranger.master, "connection closed", why)
    node = stranger.worker_identity(cluster.workers[0])
    for data, why in cases:
        assert why.encode() in stranger.say(RPC_PORT, data, node)


def test_half_a_frame_is_no_trouble(cluster: Cluster, stranger: Stranger) -> None:
    for part in (b"", b"\0", b"\0\0\1\0", b"\0\0\1\0half"):
        stranger.say(RPC_PORT, part, stranger.worker_identity(cluster.workers[0]), leave=True)


def test_a_certificate_that_is_not_good_ends_in_the_handshake(cluster: Cluster, stranger: Stranger) -> None:
    admin, node = certificates.admin(), certificates.node("w1")
    elsewhere, long_ago = ca.create(NOW), NOW - dt.timedelta(days=1_000)
    for port, subject, request in ((RPC_PORT, node, b""), (API_PORT, admin, b"GET /api HTTP/1.1\r\nhost: x\r\n\r\n")):
        for identity, why in (
            (stranger.made_identity(subject, elsewhere, NOW), "certificate verify failed"),
            (stranger.made_identity(subject, stranger.authority(), long_ago), "certificate has expired"),
        ):
            try:
                said = stranger.say(port, request, identity)
            except ssl.SSLError as error:
                said = str(error).encode()
            assert WELCOME not in said and b"HTTP" not in said
            logged(cluster, stranger.master, "handshake", why)


def test_a_node_cannot_act_as_a_master_or_as_another_node(cluster: Cluster, stranger: Stranger) -> None:
    identity = stranger.worker_identity(cluster.workers[0])
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    for request, body in (
        ("GET /api/v1/namespaces/kube-system/secrets", None),
        ("POST /api/v1/namespaces/default/pods", pod),
        ("PATCH /api/v1/nodes/w2/status", {"status": {"conditions": []}}),
        ("DELETE /api/v1/nodes/w2", None),
        ("DELETE /api/v1/nodes/w1", None),
    ):
        code, answer = stranger.ask(
            request,
            b"" if body is None else json.dumps(body).encode(),
            identity,
            content_type="application/merge-patch+json" if request.startswith("PATCH") else "application/json",
        )
        assert (code, answer["reason"]) == (403, "Forbidden"), request
        assert 'User "system:node:w1" cannot' in answer["message"]


def test_what_is_not_tls_is_told_and_closed(cluster: Cluster, stranger: Stranger) -> None:
    request = b"GET /api HTTP/1.1\r\nhost: x\r\n\r\n"
    assert b"this port speaks HTTPS only" in stranger.say_plainly(API_PORT, request)
    assert WELCOME not in stranger.say_plainly(RPC_PORT, request)
    logged(cluster, stranger.master, "TLS handshake failed", "HTTP_REQUEST")
    logged(cluster, stranger.master, "handshake refused", "HTTP_REQUEST")


# -- joining --------------------------------------------------------------------------------------------------------


def join(host: Host, address: str, token: str, name: str, *options: str) -> tuple[int, str]:
    """Exit code and what is said on standard error, in folders of its own: the host itself has joined already."""
    folders = [f"--data-dir=/root/{name}", f"--config-dir=/root/{name}"]
    done = host.run([ORCHESTR8, "join", address, token, f"--name={name}", *folders, *options], check=False)
    return done.returncode, done.stderr


def test_a_used_token_lets_nobody_in_again(cluster: Cluster) -> None:
    address = f"{cluster.masters[0].ip}:{RPC_PORT}"
    token = cluster.cli("token", "create", "--quiet").strip()
    first, second = cluster.workers
    assert join(first, address, token, "spare")[0] == 0
    before = settled(cluster)
    for host, where in ((second, cluster.masters[1].ip), (first, cluster.masters[2].ip)):
        code, said = join(host, f"{where}:{RPC_PORT}", token, "intruder")
        assert code == 5 and "unknown or used token: make a new one with `orchestr8 token create`" in said
        assert host.run(["ls", "/root/intruder"], check=False).returncode != 0
    assert settled(cluster) == before


def test_a_token_that_is_old_or_for_somebody_else_lets_nobody_in(cluster: Cluster) -> None:
    host, address = cluster.workers[1], f"{cluster.masters[1].ip}:{RPC_PORT}"
    good = cluster.cli("token", "create", "--quiet").strip()
    old = tokens.new(random.SystemRandom(), tokens.parse(good).ca_sha256)
    kept = tokens.stored(old, role="worker", uses=1, expires=NOW - dt.timedelta(seconds=1))
    secrets = "/api/v1/namespaces/kube-system/secrets"
    cluster.api.request("POST", secrets, codec.to_builtins(kept))
    before = settled(cluster)
    foreign = good[:-64] + ca.spki_sha256(ca.create(NOW).certificate_pem)
    cases: list[tuple[str, tuple[str, ...], str]] = [
        (old.text(), (), "expired"),
        (good, ("--master",), "not for a master"),
        (foreign, (), "Nothing was sent"),
        ("o8.short", (), "token"),
    ]
    for token, options, why in cases:
        name = "m2" if options else "intruder"
        code, said = join(host, address, token, name, *options)
        assert code != 0 and why in said, f"{token} {options}: {code} {said}"
    assert settled(cluster) == before
    for token in (good, old.text()):
        cluster.api.request("DELETE", f"{secrets}/{tokens.object_name(tokens.parse(token).id)}")


def test_guessing_tokens_is_stopped_for_the_one_who_guesses(cluster: Cluster, stranger: Stranger) -> None:
    guesser, other = cluster.workers
    address = f"{cluster.masters[2].ip}:{RPC_PORT}"
    pinned = ca.spki_sha256(stranger.authority().certificate_pem)
    for _ in range(6):
        guess = tokens.new(random.SystemRandom(), pinned).text()
        code, said = join(guesser, address, guess, "guesser")
        assert code in (5, 6)
    assert code == 6 and "failed tries a minute" in said
    code, said = join(other, address, tokens.new(random.SystemRandom(), pinned).text(), "other")
    assert code == 5, "others are heard"


# -- the API --------------------------------------------------------------------------------------------------------


def test_without_an_identity_there_is_nothing_to_see(cluster: Cluster, stranger: Stranger) -> None:
    wrong: list[dict[str, str]] = [{}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic YTpi"}]
    for headers in wrong:
        for request in (f"GET {CONFIG_MAPS}", f"POST {CONFIG_MAPS}", "GET /apis", "GET /metrics"):
            code, answer = stranger.ask(request, b"{}", None, **headers)
            assert (code, answer["reason"], answer["kind"]) == (401, "Unauthorized", "Status")


BODY_CASES: list[tuple[str, bytes, int, str]] = [
    ("deep", b'{"metadata":' + b"[" * 100_000, 400, "nested"),
    ("cut", b'{"metadata": {"name": "x"', 400, "JSON"),
    ("twice", b'{"metadata": {"name": "x", "name": "y"}}', 201, ""),
    ("not a number", b'{"data": NaN}', 400, "JSON"),
    ("no text", b'{"metadata": {"name": "\xff\xfe"}}', 400, ""),
    ("a list", b"[]", 400, ""),
    ("wrong type", b'{"metadata": {"name": ["x"]}}', 400, "metadata.name"),
    ("wrong kind", b'{"kind": "Secret", "metadata": {"name": "x"}}', 400, "kind"),
    ("bad name", b'{"metadata": {"name": "No Such Name"}}', 422, "metadata.name"),
    ("bad key", b'{"metadata": {"name": "x"}, "data": {"a/b": "c"}}', 422, "data"),
]


@pytest.mark.parametrize(("body", "code", "where"), [case[1:] for case in BODY_CASES], ids=[c[0] for c in BODY_CASES])
def test_a_body_that_makes_no_object_is_refused_where_it_is_wrong(
    cluster: Cluster, stranger: Stranger, body: bytes, code: int, where: str
) -> None:
    admin = stranger.made_identity(certificates.admin(), stranger.authority(), NOW)
    found, answer = stranger.ask(f"POST {CONFIG_MAPS}?dryRun=All", body, admin, content_type="application/json")
    assert found == code, answer
    if code >= 400:
        assert answer["kind"] == "Status" and where in answer["message"]


def test_a_body_that_is_too_long_is_refused_before_it_is_read(cluster: Cluster, stranger: Stranger) -> None:
    admin = stranger.made_identity(certificates.admin(), stranger.authority(), NOW)
    long = b" " * (limits.HTTP_BODY_BYTES + 1)
    code, answer = stranger.ask(f"POST {CONFIG_MAPS}", long, admin, content_type="application/json")
    assert (code, answer["reason"]) == (413, "RequestEntityTooLarge")
    announced = str(2**40)
    code, _ = stranger.ask(f"POST {CONFIG_MAPS}", b"", admin, content_type="application/json", content_length=announced)
    assert code == 413
    pieces = (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 4
    code, _ = stranger.ask(
        f"POST {CONFIG_MAPS}", pieces, admin, content_type="application/json", transfer_encoding="chunked"
    )
    assert code == 413


def test_an_object_that_is_too_large_is_refused(cluster: Cluster, stranger: Stranger) -> None:
    too_much = {"metadata": {"name": "large"}, "data": {"a": "x" * (1024 * 1024 + 1)}}
    with pytest.raises(Refused) as refused:
        cluster.api.request("POST", CONFIG_MAPS, too_much, timeout_seconds=20)
    assert refused.value.code in (413, 422)


def test_yaml_that_explodes_is_refused(cluster: Cluster, stranger: Stranger) -> None:
    admin = stranger.made_identity(certificates.admin(), stranger.authority(), NOW)
    bomb = b"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b]\n"
    for body in (bomb, b"[" * 1_000, b"a: " + b"x" * (limits.YAML_BYTES + 1)):
        code, answer = stranger.ask(f"POST {CONFIG_MAPS}", body, admin, content_type="application/yaml")
        assert code in (400, 413) and answer["kind"] == "Status"


def test_requests_that_make_no_sense_are_refused(cluster: Cluster, stranger: Stranger) -> None:
    admin = stranger.made_identity(certificates.admin(), stranger.authority(), NOW)
    cases: list[tuple[str, dict[str, str], int]] = [
        ("GET /no/such/path", {}, 404),
        ("GET /api/v1/namespaces/default/unheardof", {}, 404),
        ("BREW /api/v1/namespaces/default/configmaps", {}, 405),
        (f"POST {CONFIG_MAPS}", {"content_type": "text/plain"}, 415),
        (f"GET {CONFIG_MAPS}?limit=many", {}, 400),
        (f"GET {CONFIG_MAPS}?labelSelector=a%20b%20c", {}, 400),
        (f"GET {CONFIG_MAPS}?fieldSelector=no.such.field%3D1", {}, 400),
        (f"GET {CONFIG_MAPS}?continue=nonsense", {}, 400),
        (f"GET {CONFIG_MAPS}", {"x_long": "x" * (2 * limits.HTTP_HEADER_BYTES)}, 431),
    ]
    for request, headers, code in cases:
        found, answer = stranger.ask(request, b"", admin, **headers)
        assert (found, answer["kind"]) == (code, "Status"), f"{request}: {answer}"
    assert stranger.say(API_PORT, b"\0\1\2\r\n\r\n", admin).startswith(b"HTTP/1.1 400 ")


def test_an_unknown_field_is_named_by_its_path(cluster: Cluster, stranger: Stranger) -> None:
    port: dict[str, Any] = {"containerPort": "eighty"}
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "a", "image": "b", "ports": [port]}]}}
    with pytest.raises(Refused, match=r"spec\.containers\[0\]\.ports\[0\]\.containerPort") as refused:
        cluster.api.request("POST", "/api/v1/namespaces/default/pods", pod)
    assert refused.value.code in (400, 422)
    port.update(containerPort=80, colour="red")
    with pytest.raises(Refused, match=r"spec\.containers\[0\]\.ports\[0\]\.colour"):
        cluster.api.request("POST", "/api/v1/namespaces/default/pods?fieldValidation=Strict", pod)
