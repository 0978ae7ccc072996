"""Joining and renewing, with the real wire, the real desk and a state of one: only the log is left out."""

import datetime as dt
import random

import pytest
import trio

from orchestr8.api import codec
from orchestr8.api.config import Secret
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import Node
from orchestr8.clock import Clock
from orchestr8.errors import (
    BadRequest,
    Conflict,
    OutcomeUnknown,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    from_code,
)
from orchestr8.names import Names
from orchestr8.pki import ca, certificates, contexts, join, tokens
from orchestr8.pki.bootstrap import BootstrapTokens
from orchestr8.pki.desk import Desk
from orchestr8.pki.files import Identity
from orchestr8.pki.renewal import keep_fresh
from orchestr8.rpc.client import connect
from orchestr8.rpc.network import TlsNetwork
from orchestr8.rpc.server import serve
from orchestr8.rpc.service import MASTERS, NODES, Peer
from orchestr8.store.command import Key, Put, Txn, encode_batch
from orchestr8.store.state import State
from tests.unit.pki.made import identity, today

STRANGER = Peer("", frozenset(), "10.0.0.66:4000")


class StateOfOne:
    """What the desk needs of the replicated store; ``lose_answers``: proposals whose answer never comes."""

    def __init__(self) -> None:
        self.state = State()
        self.lose_answers = 0
        self.quorum = True

    def view(self):
        return self.state.view()

    async def read_barrier(self) -> int:
        await trio.lowlevel.checkpoint()
        if not self.quorum:
            raise Unavailable("no quorum")
        return self.state.revision

    async def propose(self, txn):
        await trio.lowlevel.checkpoint()
        (result,) = self.state.apply(encode_batch([txn]))
        if self.lose_answers:
            self.lose_answers -= 1
            raise OutcomeUnknown("connection lost")
        if result.error:
            raise from_code(result.error, result.message)
        return result

    def put(self, obj) -> None:
        key = Key(obj.kind, obj.metadata.namespace or "", obj.metadata.name)
        (result,) = self.state.apply(encode_batch([Txn("", (), (Put(key, codec.encode(obj)),))]))
        assert not result.error


class Cluster:
    def __init__(self, tmp_path) -> None:
        self.random = random.Random(4)
        self.clock = Clock()
        self.authority = ca.create(today())
        self.sha256 = ca.spki_sha256(self.authority.certificate_pem)
        self.store = StateOfOne()
        self.bootstrap = BootstrapTokens(tmp_path)
        self.members = {"m1": "10.0.0.1:7443", "m2": "10.0.0.2:7443"}
        self.address = ""
        self.desk = self.another_desk()

    def another_desk(self) -> Desk:
        names = Names(self.random)
        return Desk(self.authority, self.members, self.store, self.clock, names, self.bootstrap)

    def token(self, role="worker", uses=1, life=dt.timedelta(hours=1)) -> tokens.JoinToken:
        token = tokens.new(self.random, self.sha256)
        self.store.put(tokens.stored(token, role=role, uses=uses, expires=self.clock.now() + life))
        return token

    def tokens_left(self) -> list[Secret]:
        return self.store.view().list(Secret)


@pytest.fixture
async def cluster(nursery, tmp_path):
    made = Cluster(tmp_path)
    master = identity(made.authority, certificates.master("m1", []))
    network = TlsNetwork(client=contexts.rpc_client(master.ca_pem, master), server=contexts.rpc_server(master))
    made.address = await nursery.start(serve, network, "127.0.0.1:0", made.desk.service())
    return made


def request(token, name="w1", role="worker"):
    csr_pem = certificates.signing_request(ca.new_key(), certificates.node(name))
    return {"token_id": token.id, "secret": token.secret, "name": name, "role": role, "csr_pem": csr_pem}


async def test_a_worker_joins_with_one_line_and_is_known_from_then_on(cluster):
    line = cluster.token().text()
    joined = await join.join_as_worker([cluster.address], tokens.parse(line), "w1")
    assert joined.masters == tuple(cluster.members.values())
    assert joined.authority is None
    network = TlsNetwork(client=contexts.rpc_client(joined.identity.ca_pem, joined.identity))
    async with connect(network, cluster.address) as connection:
        assert connection.peer.roles == {MASTERS}
    known = certificates.read(joined.identity.certificate_pem)
    assert (known.name, known.organisation) == ("system:node:w1", NODES)


async def test_the_second_address_is_tried_when_the_first_is_dead(cluster):
    joined = await join.join_as_worker(["127.0.0.1:1", cluster.address], cluster.token(), "w1")
    assert certificates.read(joined.identity.certificate_pem).name == "system:node:w1"


async def test_a_token_of_another_cluster_sends_nothing(cluster):
    token = cluster.token()
    wrong = tokens.JoinToken(token.id, token.secret, "0" * 64)
    asked = []
    cluster.desk._read = lambda wanted: asked.append(wanted)
    with pytest.raises(Unauthenticated, match="Nothing was sent"):
        await join.join_as_worker([cluster.address], wrong, "w1")
    assert asked == []
    assert len(cluster.tokens_left()) == 1


async def test_a_token_is_spent_once(cluster):
    token = cluster.token()
    await join.join_as_worker([cluster.address], token, "w1")
    assert cluster.tokens_left() == []
    with pytest.raises(Unauthenticated, match="unknown or used"):
        await join.join_as_worker([cluster.address], token, "w2")


async def test_two_masters_never_both_accept_the_last_use(cluster):
    token = cluster.token(uses=3)
    desks = [cluster.another_desk() for _ in range(3)]
    accepted = []

    async def one(number):
        try:
            await desks[number % 3].join(STRANGER, request(token, f"w{number}"))
            accepted.append(number)
        except (Unauthenticated, Unavailable):
            pass

    async with trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(one, number)
    assert len(accepted) == 3
    assert cluster.tokens_left() == []


async def test_an_answer_lost_on_the_way_spends_one_use(cluster):
    token = cluster.token(uses=2)
    cluster.store.lose_answers = 1
    await cluster.desk.join(STRANGER, request(token))
    assert cluster.tokens_left()[0].data["uses"] == b"1"


async def test_a_token_cannot_take_over_a_node_that_is_there(cluster):
    token = cluster.token()
    cluster.store.put(Node(metadata=ObjectMeta(name="w1", uid="u1")))
    with pytest.raises(Conflict, match="orchestr8 delete node w1"):
        await join.join_as_worker([cluster.address], token, "w1")
    assert len(cluster.tokens_left()) == 1


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"secret": "x" * 26}, Unauthenticated, "unknown or used"),
        ({"role": "master", "name": "m2"}, Unauthenticated, "not for a master"),
        ({"role": "admin"}, BadRequest, "role is 'admin'"),
        ({"role": "master", "name": "m9"}, BadRequest, "does not list a master"),
        ({"name": "../w1"}, BadRequest, "as in a host name"),
        ({"csr_pem": b"junk"}, BadRequest, "not a certificate request"),
    ],
)
async def test_a_refused_join_leaves_its_token(cluster, changes, error, reason):
    token = cluster.token()
    with pytest.raises(error, match=reason):
        await cluster.desk.join(STRANGER, {**request(token), **changes})
    assert len(cluster.tokens_left()) == 1


async def test_an_expired_token_is_refused(cluster):
    with pytest.raises(Unauthenticated, match="expired"):
        await join.join_as_worker([cluster.address], cluster.token(life=dt.timedelta(0)), "w1")


async def test_guessing_is_slowed_down_by_address(cluster):
    token = cluster.token()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await cluster.desk.join(STRANGER, {**request(token), "secret": "x" * 26})
    with pytest.raises(TooManyRequests):
        await cluster.desk.join(STRANGER, request(token))
    await cluster.desk.join(Peer("", frozenset(), "10.0.0.9:1"), request(token))


async def test_a_master_joins_before_there_is_a_quorum_and_gets_the_ca(cluster):
    cluster.store.quorum = False
    token = cluster.bootstrap.create("m2", source=cluster.random, ca_sha256=cluster.sha256, now=cluster.clock.now())
    joined = await join.join_as_master([cluster.address], token, "m2", ["10.0.0.2", "m2.lan"])
    known = certificates.read(joined.identity.certificate_pem)
    assert (known.name, known.organisation) == ("system:master:m2", MASTERS)
    assert {"10.0.0.2", "m2.lan"} <= set(known.addresses)
    assert joined.members == cluster.members
    assert joined.authority.key_pem == cluster.authority.key_pem
    with pytest.raises(Unavailable):
        await join.join_as_master([cluster.address], token, "m2", ["10.0.0.2"])


async def test_a_worker_never_gets_the_cas_key(cluster):
    answer = await cluster.desk.join(STRANGER, request(cluster.token()))
    assert set(answer) == {"certificate_pem", "ca_pem", "masters"}


# -- renewal -----------------------------------------------------------------------------------------------


def old_identity(cluster, days, subject=None) -> Identity:
    return identity(cluster.authority, subject or certificates.node("w1"), today() - dt.timedelta(days=days))


async def test_a_node_renews_over_its_own_connection(cluster):
    cluster.store.put(Node(metadata=ObjectMeta(name="w1", uid="u1")))
    old = old_identity(cluster, 60)
    network = TlsNetwork(client=contexts.rpc_client(old.ca_pem, old))
    async with connect(network, cluster.address) as connection:
        new = await join.renew(connection, old)
    assert new.key_pem == old.key_pem
    life = certificates.read(new.certificate_pem).not_after - today()
    assert life > dt.timedelta(days=89)


async def test_a_node_that_was_off_for_100_days_comes_back_by_itself(cluster):
    cluster.store.put(Node(metadata=ObjectMeta(name="w1", uid="u1")))
    new = await join.renew_expired([cluster.address], old_identity(cluster, 100))
    network = TlsNetwork(client=contexts.rpc_client(new.ca_pem, new))
    async with connect(network, cluster.address):
        pass


@pytest.mark.parametrize(
    ("days", "subject", "there", "reason"),
    [
        (90 + 366, None, True, "more than a year ago"),
        (100, None, False, "there is no node w1"),
        (100, certificates.master("m1", []), True, "only nodes renew here"),
        (100, certificates.admin(), True, "only nodes renew here"),
    ],
)
async def test_who_may_not_renew_is_told_why(cluster, days, subject, there, reason):
    if there:
        cluster.store.put(Node(metadata=ObjectMeta(name="w1", uid="u1")))
    with pytest.raises(Unauthenticated, match=reason):
        await join.renew_expired([cluster.address], old_identity(cluster, days, subject))


async def test_a_stolen_certificate_without_its_key_does_not_renew(cluster):
    cluster.store.put(Node(metadata=ObjectMeta(name="w1", uid="u1")))
    old = old_identity(cluster, 10)
    csr_pem = certificates.signing_request(ca.new_key(), certificates.node("w1"))
    with pytest.raises(Unauthenticated, match="signed by the key"):
        await cluster.desk.renew(STRANGER, {"certificate_pem": old.certificate_pem, "csr_pem": csr_pem})


async def test_a_certificate_of_another_ca_does_not_renew(cluster):
    other = identity(ca.create(today()), certificates.node("w1"))
    with pytest.raises(Unauthenticated, match="not issued by"):
        await cluster.desk.renew(STRANGER, join._renewal(other))


async def test_a_renewed_certificate_that_is_due_at_once_does_not_spin(autojump_clock):
    epoch = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    clock = Clock(epoch.timestamp())
    stale = identity(ca.create(epoch), certificates.node("w1"), epoch - dt.timedelta(days=80))
    asked = []

    async def renew(old):
        asked.append(old)
        return stale

    with trio.move_on_after(86_400):
        await keep_fresh(stale, renew, lambda new: None, clock, random.Random(3))
    assert len(asked) == 24


async def test_a_running_daemon_renews_at_two_thirds_and_tries_again_when_nobody_answers(autojump_clock):
    epoch = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    clock = Clock(epoch.timestamp())
    authority = ca.create(epoch)
    renewed_on, used = [], []

    async def renew(old):
        renewed_on.append((clock.now() - epoch).days)
        if len(renewed_on) == 1:
            raise Unavailable("no master answers")
        return identity(authority, certificates.node("w1"), clock.now())

    first = identity(authority, certificates.node("w1"), epoch)
    with trio.move_on_after(100 * 86_400):
        await keep_fresh(first, renew, used.append, clock, random.Random(3))
    assert len(used) == 1
    assert renewed_on[0] == renewed_on[1]
    assert 59 <= renewed_on[0] <= 66
