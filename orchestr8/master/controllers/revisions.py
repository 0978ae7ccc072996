"""The ReplicaSets of a Deployment: which one is the current template's, their names, numbers and annotations.

A revision is a ReplicaSet; ``kubectl rollout history`` and ``undo`` read its number and template. Going back to an
older template makes that ReplicaSet the current one again under a new number.
Source: Kubernetes, "Deployments" (revision, pod-template-hash, revision-history).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from orchestr8.api import codec
from orchestr8.api.meta import LabelSelector, ObjectMeta, owner_reference, with_metadata
from orchestr8.api.pod import PodTemplateSpec
from orchestr8.api.workloads import Deployment, ReplicaSet, ReplicaSetSpec

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)
_HASH_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_HASH_CHARS = 10
_REVISION_HISTORY_CHARS = 2_000


def find_current(deployment: Deployment, replica_sets: Iterable[ReplicaSet]) -> ReplicaSet | None:
    """The oldest ReplicaSet whose template is the Deployment's, the hash label aside."""
    wanted = _without_hash(deployment.spec.template)
    same = [each for each in replica_sets if _without_hash(each.spec.template) == wanted]
    return min(same, key=age, default=None)


def age(replica_set: ReplicaSet) -> tuple[float, str]:
    """Sorts the oldest first."""
    created = replica_set.metadata.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, replica_set.metadata.name)


def template_hash(deployment: Deployment) -> str:
    """Ten characters that name the template; a collision count in the status leads to another name."""
    digest = hashlib.blake2b(codec.encode(deployment.spec.template), digest_size=8)
    digest.update(str(deployment.status.collision_count or 0).encode())
    number = int.from_bytes(digest.digest(), "big")
    characters = []
    for _ in range(_HASH_CHARS):
        number, place = divmod(number, len(_HASH_ALPHABET))
        characters.append(_HASH_ALPHABET[place])
    return "".join(characters)


def number_of(replica_set: ReplicaSet) -> int:
    """The revision number; 0 when it has none."""
    text = replica_set.metadata.annotations.get(REVISION, "")
    return int(text) if text.isdigit() and len(text) <= 18 else 0


def next_number(old: Sequence[ReplicaSet]) -> int:
    """The number of the current revision: one more than that of any other."""
    return max(map(number_of, old), default=0) + 1


def annotation_number(replica_set: ReplicaSet, name: str) -> int | None:
    text = replica_set.metadata.annotations.get(name, "")
    return int(text) if text.isdigit() and len(text) <= 10 else None


def new_replica_set(deployment: Deployment, number: int, replicas: int, max_replicas: int) -> ReplicaSet:
    """The ReplicaSet for the Deployment's template."""
    suffix = template_hash(deployment)
    template = deployment.spec.template
    labels = {**template.metadata.labels, HASH_LABEL: suffix}
    selector = deployment.spec.selector or LabelSelector()
    replica_set = ReplicaSet(
        metadata=ObjectMeta(
            name=f"{deployment.metadata.name}-{suffix}",
            namespace=deployment.metadata.namespace,
            labels=labels,
            owner_references=(owner_reference(deployment),),
        ),
        spec=ReplicaSetSpec(
            replicas=replicas,
            min_ready_seconds=deployment.spec.min_ready_seconds,
            selector=msgspec.structs.replace(selector, match_labels={**selector.match_labels, HASH_LABEL: suffix}),
            template=with_labels(template, labels),
        ),
    )
    return annotated(replica_set, deployment, number, max_replicas)


def annotated(replica_set: ReplicaSet, deployment: Deployment, number: int, max_replicas: int) -> ReplicaSet:
    """With the Deployment's own annotations, the revision number (older ones kept as history) and the totals."""
    old = replica_set.metadata.annotations
    annotations = {name: text for name, text in old.items() if name in _NOT_COPIED}
    annotations |= {name: text for name, text in deployment.metadata.annotations.items() if name not in _NOT_COPIED}
    before = number_of(replica_set)
    if before < number:
        annotations[REVISION] = str(number)
        if before:
            history = [*filter(None, old.get(REVISION_HISTORY, "").split(",")), str(before)]
            annotations[REVISION_HISTORY] = ",".join(history)[-_REVISION_HISTORY_CHARS:]
    return with_totals(with_metadata(replica_set, annotations=annotations), deployment, max_replicas)


def with_totals(replica_set: ReplicaSet, deployment: Deployment, max_replicas: int) -> ReplicaSet:
    """Notes the total that this ReplicaSet's share belongs to; a later change of the total shows by it."""
    totals = {DESIRED_REPLICAS: str(deployment.spec.replicas or 0), MAX_REPLICAS: str(max_replicas)}
    return with_metadata(replica_set, annotations={**replica_set.metadata.annotations, **totals})


def with_labels(template: PodTemplateSpec, labels: dict[str, str]) -> PodTemplateSpec:
    return msgspec.structs.replace(template, metadata=msgspec.structs.replace(template.metadata, labels=labels))


def _without_hash(template: PodTemplateSpec) -> PodTemplateSpec:
    labels = {name: text for name, text in template.metadata.labels.items() if name != HASH_LABEL}
    return with_labels(template, labels)
