"""How fast the scheduler decides, as JSON: ``python tests/bench/bench_scheduler.py [--nodes 5000] [--output FILE]``.

Measures ``schedule`` alone (no store, no commit) on one core: pods in 1 family, in 100, and all unique, on 5,000
nodes; one pod on 50 nodes; and beside them, in the same run, the same work without families (every pod looks at
every node), which the first numbers are a ratio of. The spread of the nodes' CPU use shows what the speed costs.
Targets: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestr8.api.meta import ObjectMeta, OwnerReference
from orchestr8.api.node import Node, NodeCondition, NodeStatus, Taint
from orchestr8.api.node import NodeSpec as NodeObjectSpec
from orchestr8.api.pod import Container, Pod, PodSpec, ResourceRequirements, Toleration
from orchestr8.master.scheduler import cycle
from orchestr8.master.scheduler.cluster import Cluster
from orchestr8.master.scheduler.cycle import schedule
from orchestr8.master.scheduler.facts import PodFacts

TARGETS = {"1 family": 10_000, "100 families": 10_000, "all unique": 900}


def make_nodes(count: int) -> list[Node]:
    """Three sizes; one node in ten has a taint that nobody tolerates, half carry the label that the pods want."""
    sizes = [("8", "32Gi"), ("16", "64Gi"), ("32", "64Gi")]
    return [
        Node(
            metadata=ObjectMeta(name=f"n{i:05}", labels={"disk": "ssd" if i % 2 else "hdd", "row": str(i % 20)}),
            spec=NodeObjectSpec(taints=(Taint(key="dedicated", effect="NoSchedule"),) if i % 10 == 0 else ()),
            status=NodeStatus(
                allocatable={"cpu": sizes[i % 3][0], "memory": sizes[i % 3][1], "pods": "110"},
                conditions=(NodeCondition(type="Ready", status="True"),),
            ),
        )
        for i in range(count)
    ]


def make_pods(count: int, families: int, unique_selector: bool = False) -> list[Pod]:
    """``unique_selector``: every family also has node requirements of its own, so that nothing static is shared."""
    pods = []
    for i in range(count):
        family = i * families // count
        requests = {"cpu": f"{100 + family % 1000}m", "memory": f"{128 + family % 7}Mi"}
        tolerations = (Toleration(key=f"t{family}", operator="Exists"),) if unique_selector else ()
        pods.append(
            Pod(
                metadata=ObjectMeta(
                    name=f"p{i:05}",
                    namespace="default",
                    uid=f"u{i}",
                    owner_references=(OwnerReference(kind="ReplicaSet", uid=f"rs{family}", controller=True),),
                ),
                spec=PodSpec(
                    node_selector={"disk": "ssd"},
                    tolerations=tolerations,
                    containers=(Container(name="c", image="web", resources=ResourceRequirements(requests=requests)),),
                ),
            )
        )
    return pods


def run(nodes: list[Node], pods: list[Pod], *, one_by_one: bool = False) -> dict[str, Any]:
    """``one_by_one``: a fresh search over all nodes for every pod, placed before the next is looked at."""
    cluster = Cluster()
    for node in nodes:
        cluster.put_node(node)
    for pod in pods:
        cluster.put_pod(pod)
    pending: list[PodFacts] = list(cluster.waiting())
    by_name = {pod.metadata.name: pod for pod in pods}
    started = time.perf_counter()
    use: dict[str, int] = {}
    bound = 0
    rounds = [[facts] for facts in pending] if one_by_one else [pending]
    for each in rounds:
        for binding in schedule(each, cluster).bindings:
            use[binding.node_name] = use.get(binding.node_name, 0) + binding.pod.family.demand.cpu_millis
            bound += 1
            if one_by_one:
                placed = by_name[binding.pod.name]
                cluster.put_pod(Pod(metadata=placed.metadata, spec=_on(placed.spec, binding.node_name)))
    seconds = time.perf_counter() - started
    shares = [use.get(node.name, 0) / node.cpu_millis for node in cluster.nodes() if node.labels["disk"] == "ssd"]
    return {
        "pods": len(pods),
        "bound": bound,
        "seconds": round(seconds, 4),
        "pods_per_second": round(len(pods) / seconds),
        "cpu_share_stdev": round(statistics.pstdev(shares), 5),
    }


def _on(spec: PodSpec, node_name: str) -> PodSpec:
    return PodSpec(
        node_name=node_name,
        node_selector=spec.node_selector,
        tolerations=spec.tolerations,
        containers=spec.containers,
    )


def one_pod_milliseconds(nodes: int, repeats: int) -> float:
    """The median time from a waiting pod to the decision, with a family that was never seen before."""
    cluster = Cluster()
    for node in make_nodes(nodes):
        cluster.put_node(node)
    pods = make_pods(repeats, repeats, unique_selector=True)
    taken = []
    for pod in pods:
        cluster.put_pod(pod)
        facts = cluster.pods[("default", pod.metadata.name or "")]
        started = time.perf_counter()
        plan = schedule([facts], cluster)
        taken.append(time.perf_counter() - started)
        assert len(plan.bindings) == 1
    return round(statistics.median(taken) * 1000, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    nodes = make_nodes(options.nodes)
    results: dict[str, Any] = {
        "1 family": run(nodes, make_pods(10_000, 1)),
        "100 families": run(nodes, make_pods(10_000, 100)),
        "all unique": run(nodes, make_pods(2_000, 2_000)),
        "all unique, nothing static shared": run(nodes, make_pods(1_000, 1_000, unique_selector=True)),
    }
    sampled, cycle.SAMPLE_ABOVE_NODES = cycle.SAMPLE_ABOVE_NODES, sys.maxsize
    plain = run(nodes, make_pods(200, 1), one_by_one=True)
    cycle.SAMPLE_ABOVE_NODES = sampled
    for name, result in results.items():
        result["times_one_by_one"] = round(result["pods_per_second"] / plain["pods_per_second"], 1)
        target = TARGETS.get(name)
        if target is not None:
            result["target_pods_per_second"] = target
            result["met"] = result["pods_per_second"] >= target
    document = {
        "benchmark": "scheduler decisions",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "nodes": options.nodes,
        "results": results,
        "one_by_one": plain,
        "one_pod_on_50_nodes_milliseconds": one_pod_milliseconds(50, 300),
        "one_pod_target_milliseconds": 1.0,
    }
    text = json.dumps(document, indent=2)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
