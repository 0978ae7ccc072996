"""Writes per second on three masters: inside the store (what controllers, the scheduler and nodes do), and through the
HTTPS API with a client in C, at the leader and at a follower. Every write is on two disks before it is answered."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestr8.pki import bearer, files
from tests.bench import bench_store, wrk
from tests.bench.client import Requests, Way
from tests.bench.figures import Figure, Series
from tests.bench.objects import CONFIG_MAPS
from tests.cluster.api import Refused
from tests.cluster.cluster import API_PORT, Cluster
from tests.cluster.raft.masters import masters

WRITERS = (1, 16, 128)
TARGETS = {16: 2_468.0, 128: 4_772.0}
_PUBLISHED = {1: "", 16: "etcd 2,468/s by its own client", 128: "etcd 4,772/s by its own client"}
_CONFIG_MAP = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bench-@"},"data":{"x":"%s#"}}' % ("x" * 200)


def in_the_store(seconds: float, beside: dict[str, Series]) -> list[Figure]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, masters(Path(folder)) as cluster:
        bare = bench_store.bare_fdatasync(Path(folder))
        cluster.start()
        found = bench_store.rates(cluster, seconds)
    figures = []
    for writers in WRITERS:
        at = found[str(writers)]
        compared = [*_etcd(beside, writers), Series("follower", [at["follower"]["per_second"]])]
        if writers == 1:
            compared.append(Series("bare write + fdatasync", [bare]))
        figures.append(
            _rate(f"writes/s, {writers} writers inside the leader", writers, at["leader"]["per_second"], compared, at)
        )
    return figures


def through_the_api(cluster: Cluster, way: Way, seconds: float, beside: dict[str, Series]) -> list[Figure]:
    leader = cluster.leader()
    urls = {host.name: f"https://{host.ip}:{API_PORT}" for host in cluster.masters}
    follower = next(name for name in urls if name != leader)
    with Requests(way, urls[leader]) as ask:
        for number in range(max(WRITERS)):
            _make(ask, number)
    headers = (("Authorization", f"Bearer {_token(cluster)}"), ("Content-Type", "application/json"))
    figures = []
    for writers in WRITERS:
        answered = {}
        for role, name in (("leader", leader), ("follower", follower)):
            load = wrk.Load(urls[name], "PUT", f"{CONFIG_MAPS}/bench-@", _CONFIG_MAP, headers)
            answered[role] = wrk.run(cluster.lab, load, writers, seconds)
        compared = [*_etcd(beside, writers), Series("follower", [answered["follower"].per_second])]
        details = {role: vars(each) for role, each in answered.items()}
        rate = answered["leader"].per_second
        figures.append(_rate(f"writes/s, {writers} clients of the HTTPS API", writers, rate, compared, details))
    return [*figures, *_eight_clients(cluster, urls[leader], headers, seconds)]


def _eight_clients(cluster: Cluster, url: str, headers: tuple[tuple[str, str], ...], seconds: float) -> list[Figure]:
    """The two loads that the Kubernetes API server was measured with."""
    get = wrk.Load(url, "GET", f"{CONFIG_MAPS}/bench-000", "", headers)
    create = wrk.Load(url, "POST", CONFIG_MAPS, _CONFIG_MAP, headers, fresh="fresh-")
    found = {"get": wrk.run(cluster.lab, get, 8, seconds), "create": wrk.run(cluster.lab, create, 8, seconds)}
    published = {"get": "Kubernetes 4,261/s", "create": "Kubernetes 1,966/s"}
    return [
        Figure(f"API {verb}, 8 clients", "/s", [each.per_second], published=published[verb], details=vars(each))
        for verb, each in found.items()
    ]


def _rate(name: str, writers: int, rate: float, compared: Sequence[Series], details: dict[str, Any]) -> Figure:
    return Figure(
        name.replace("1 writers", "1 writer").replace("1 clients", "1 client"),
        "/s",
        [rate],
        target=TARGETS.get(writers),
        at_least=True,
        beside=compared,
        published=_PUBLISHED[writers],
        details=details,
    )


def _etcd(beside: dict[str, Series], writers: int) -> list[Series]:
    key = f"writes {writers}"
    return [beside[key]] if key in beside else []


def _make(ask: Requests, number: int) -> None:
    try:
        ask("POST", CONFIG_MAPS, {"metadata": {"name": f"bench-{number:03}"}})
    except Refused as error:
        if error.code != 409:
            raise


def _token(cluster: Cluster) -> str:
    """wrk has no client certificates."""
    authority = files.load_authority(cluster.masters[0].folder / "var/lib/upper/orchestr8/master/pki")
    assert authority is not None
    subject = bearer.Bearer("kubernetes-admin", ("system:masters",))
    return bearer.sign(authority, subject, dt.datetime.now(dt.UTC), dt.timedelta(hours=1))
