import random
import socket
import ssl

import pytest
import trio

from orchestr8 import limits
from orchestr8.errors import ConfigError, Forbidden, OutcomeUnknown, Unauthenticated, Unavailable
from orchestr8.pki import ca, certificates, contexts
from orchestr8.pki.files import Identity
from orchestr8.rpc.client import connect
from orchestr8.rpc.network import TlsNetwork, split_address
from orchestr8.rpc.server import serve
from orchestr8.rpc.service import MASTERS, NODES, Service
from tests.unit.pki.made import NOW, identity, today


async def whoami(peer, params):
    return {"name": peer.name, "roles": sorted(peer.roles)}


SERVICE = Service({"whoami": whoami, "hello": whoami}, public=["hello"])


@pytest.fixture
def authority():
    return ca.create(today())


@pytest.fixture
async def address(nursery, authority):
    master = identity(authority, certificates.master("m1", ["127.0.0.1"]))
    network = TlsNetwork(client=contexts.rpc_client(master.ca_pem, master), server=contexts.rpc_server(master))
    return await nursery.start(serve, network, "127.0.0.1:0", SERVICE)


def node_network(authority, subject=None):
    node = identity(authority, subject or certificates.node("w1"))
    return TlsNetwork(client=contexts.rpc_client(node.ca_pem, node))


async def test_each_side_knows_the_other_by_its_certificate(address, authority):
    async with connect(node_network(authority), address) as connection:
        assert await connection.call("whoami") == {"name": "system:node:w1", "roles": [NODES]}
        assert (connection.peer.name, connection.peer.roles) == ("system:master:m1", {MASTERS})
        assert connection.peer.short_name == "m1"


async def test_without_a_certificate_only_public_methods_answer(address, authority):
    network = TlsNetwork(client=contexts.rpc_client(authority.certificate_pem))
    async with connect(network, address) as connection:
        assert await connection.call("hello") == {"name": "", "roles": []}
        with pytest.raises(Forbidden):
            await connection.call("whoami")


async def test_a_stranger_may_not_send_large_frames(address, authority):
    network = TlsNetwork(client=contexts.rpc_client(authority.certificate_pem))
    async with connect(network, address) as connection:
        with pytest.raises(OutcomeUnknown, match="a frame of 65553 bytes was announced, the limit is 65536"):
            await connection.call("hello", bytes(limits.RPC_FRAME_BYTES_BEFORE_LOGIN))


async def test_a_certificate_of_another_ca_is_refused_in_the_handshake(address, authority):
    other = identity(ca.create(today()), certificates.node("w1"))
    network = TlsNetwork(client=contexts.rpc_client(authority.certificate_pem, other))
    with pytest.raises(Unavailable, match="refused this connection"):
        async with connect(network, address):
            pass


async def test_an_expired_certificate_is_refused_in_the_handshake(address, authority):
    key = ca.new_key()
    old = certificates.issue(authority, key.public_key(), certificates.node("w1"), NOW)
    network = TlsNetwork(
        client=contexts.rpc_client(
            authority.certificate_pem, Identity(authority.certificate_pem, old, ca.key_to_pem(key))
        )
    )
    with pytest.raises(Unavailable, match="refused this connection"):
        async with connect(network, address):
            pass


async def test_a_server_of_another_cluster_is_refused_by_the_client(address):
    with pytest.raises(Unauthenticated, match="is not a master of this cluster"):
        async with connect(node_network(ca.create(today())), address):
            pass


async def test_a_nodes_certificate_cannot_pose_as_a_master(nursery, authority):
    node = identity(authority, certificates.node("w1"))
    thief = TlsNetwork(client=contexts.rpc_client(node.ca_pem, node), server=contexts.rpc_server(node))
    address = await nursery.start(serve, thief, "127.0.0.1:0", SERVICE)
    with pytest.raises(Unauthenticated, match="is not a master of this cluster"):
        async with connect(node_network(authority), address):
            pass


async def test_a_master_is_refused_under_a_name_that_its_certificate_lacks(nursery, authority):
    master = identity(
        authority, certificates.Subject("system:master:m1", MASTERS, serves=True, addresses=("10.9.9.9",))
    )
    network = TlsNetwork(client=contexts.rpc_client(master.ca_pem, master), server=contexts.rpc_server(master))
    address = await nursery.start(serve, network, "127.0.0.1:0", SERVICE)
    with pytest.raises(Unauthenticated, match="IP address mismatch"):
        async with connect(node_network(authority), address):
            pass


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(100)], ids=["plain HTTP", "zeros"])
async def test_what_is_not_tls_is_closed_and_others_are_served(address, authority, said):
    stream = await trio.open_tcp_stream(*split_address(address))
    await stream.send_all(said)
    with trio.fail_after(5):
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
    await stream.aclose()
    async with connect(node_network(authority), address) as connection:
        assert (await connection.call("whoami"))["name"] == "system:node:w1"


async def test_tls_1_2_is_refused(address, authority):
    context = contexts.rpc_client(authority.certificate_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(Unavailable, match="handshake"):
        async with connect(TlsNetwork(client=context), address):
            pass


async def test_garbage_inside_tls_closes_that_connection_only(address, authority):
    network = node_network(authority)
    async with connect(network, address) as good:
        transport, _ = await network.dial(address)
        await transport.send_all(random.Random(1).randbytes(4000))
        with trio.fail_after(5):
            said = b""
            while data := await transport.receive_some():
                said += data
        assert b"was announced" in said
        await trio.aclose_forcefully(transport)
        assert (await good.call("whoami"))["name"] == "system:node:w1"


async def test_a_port_where_nobody_listens_is_unavailable(authority):
    with pytest.raises(Unavailable, match=r"cannot reach 127.0.0.1:1"):
        async with connect(node_network(authority), "127.0.0.1:1"):
            pass


async def test_a_connection_that_a_cut_stalls_is_dropped_by_both_ends(nursery, authority):
    patience = []

    async def handler(stream, peer):
        patience.append(unacknowledged_milliseconds(stream))

    master = identity(authority, certificates.master("m1", ["127.0.0.1"]))
    network = TlsNetwork(client=contexts.rpc_client(master.ca_pem, master), server=contexts.rpc_server(master))
    address = await nursery.start(network.serve, "127.0.0.1:0", handler)
    stream, _ = await network.dial(address)
    patience.append(unacknowledged_milliseconds(stream))
    await stream.receive_some()  # until the handler has ended
    await trio.aclose_forcefully(stream)
    assert patience == [limits.RPC_UNACKNOWLEDGED_SECONDS * 1000] * 2


def unacknowledged_milliseconds(stream):
    return stream.transport_stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


async def test_a_port_that_swallows_everything_is_unavailable_after_a_while(authority, autojump_clock):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(2)]
        for one in waiting:  # the queue takes one more than it should; then the kernel drops requests
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with pytest.raises(Unavailable, match=r"no answer in 3 s"):
            await node_network(authority).dial(f"127.0.0.1:{full.getsockname()[1]}")
        for one in waiting:
            one.close()


async def test_a_renewed_certificate_is_used_for_the_next_connection(address, authority):
    network = node_network(authority)
    renewed = identity(authority, certificates.node("w2"))
    async with connect(network, address) as before:
        network.use(client=contexts.rpc_client(renewed.ca_pem, renewed))
        assert (await before.call("whoami"))["name"] == "system:node:w1"
    async with connect(network, address) as after:
        assert (await after.call("whoami"))["name"] == "system:node:w2"


@pytest.mark.parametrize("text", ["10.0.0.1", ":7443", "host:", "host:x", "host:70000"])
def test_an_address_needs_host_and_port(text):
    with pytest.raises(ConfigError, match="host:port"):
        split_address(text)


def test_ipv6_addresses_stand_in_brackets():
    assert split_address("[fd00::1]:7443") == ("fd00::1", 7443)
