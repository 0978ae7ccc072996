"""How a Deployment reaches its template and size: which ReplicaSets there are and how many pods each asks for.

One plan is one safe step; the ReplicaSets' progress leads to the next look. A paused Deployment is only resized. The
whole plan is one transaction under the revisions that were read, so two steps never build on the same state.
Source: Kubernetes, "Deployments".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from orchestr8.api import selectors
from orchestr8.api.meta import controller_of, owner_reference, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.workloads import Deployment, DeploymentStatus, ReplicaSet
from orchestr8.master.controllers import deployment_status, revisions, rollout
from orchestr8.master.controllers.controller import Moment
from orchestr8.master.controllers.facts import FINISHED_PHASES, is_active, is_available, is_controlled_by, key_of
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import NOTHING, Create, Note, Plan, Remove, Update, Write
from orchestr8.store.view import View

DEFAULT_HISTORY = 10


def decide(view: View, key: Key, now: Moment) -> Plan:
    """The plan for one Deployment."""
    deployment = view.get(Deployment, key.namespace, key.name)
    if deployment is None:
        return NOTHING
    return _Step(view, deployment, now).plan()


def affected(change: Change, view: View) -> Iterator[Key]:
    """Its own key; for a ReplicaSet its owner, or who may adopt it; for a pod that is gone, the owner's owner."""
    if change.key.kind == "Deployment":
        yield change.key
        return
    if change.key.kind == "Pod":
        if change.after is None and change.before is not None:
            yield from _owner_of_owner(change.before.obj, view)
        return
    for stored in (change.before, change.after):
        if stored is None:
            continue
        owner = controller_of(stored.obj)
        if owner is None:
            yield from _may_adopt(stored.obj, view)
        elif owner.kind == "Deployment":
            yield Key("Deployment", change.key.namespace, owner.name)


def everything(view: View) -> Iterable[Key]:
    return (stored.key for stored in view.stored_list("Deployment"))


class _Step:
    """What one look at one Deployment decides. ``sets``: the size that this plan leaves each ReplicaSet with."""

    def __init__(self, view: View, deployment: Deployment, now: Moment) -> None:
        self._view = view
        self._deployment = deployment
        self._now = now.wall
        self._wanted = 1 if deployment.spec.replicas is None else deployment.spec.replicas
        strategy = deployment.spec.strategy
        rolling = strategy.rolling_update if strategy is not None else None
        self._recreates = strategy is not None and strategy.type == "Recreate"
        self._bound = (
            rollout.Bounds(self._wanted, 0, 0)
            if self._recreates
            else rollout.bounds(
                self._wanted,
                rolling.max_surge if rolling is not None else "25%",
                rolling.max_unavailable if rolling is not None else "25%",
            )
        )
        self._writes: list[Write] = []
        self._notes: list[Note] = []

    def plan(self) -> Plan:
        owned = self._owned()
        deployment = self._deployment
        current = revisions.find_current(deployment, owned)
        old = sorted((each for each in owned if each is not current), key=revisions.age)
        created: ReplicaSet | None = None
        collisions: int | None = None
        sizes = {each.metadata.name: each.spec.replicas or 0 for each in owned}
        if deployment.metadata.deletion_timestamp is None:
            if deployment.spec.paused or self._was_resized(owned):
                self._resize(current, old, sizes)
            elif self._recreates:
                created = self._recreate(current, old, sizes)
            else:
                created = self._roll(current, old, sizes)
            if created is not None and self._view.get(ReplicaSet, created.metadata.namespace, created.metadata.name):
                created, collisions = None, (deployment.status.collision_count or 0) + 1
            self._write_sets(current, old, sizes, created)
        status = deployment_status.observe(
            deployment,
            self._bound,
            current,
            old,
            self._now,
            created=created.metadata.name if created is not None else None,
            collision_count=collisions,
        )
        if deployment_status.is_complete(deployment, status) and deployment.metadata.deletion_timestamp is None:
            self._forget_revisions(old)
        self._write_deployment(current or created, old, status)
        return Plan(tuple(self._writes), tuple(self._notes), deployment_status.deadline(deployment, status))

    # -- the ReplicaSets that belong here ---------------------------------------------------------------

    def _owned(self) -> list[ReplicaSet]:
        """Those owned by reference; orphans that the selector matches are adopted, strangers released."""
        deployment = self._deployment
        uid = deployment.metadata.uid
        selector = selectors.from_object(deployment.spec.selector)
        owned: list[ReplicaSet] = []
        for each in self._view.owned_by(uid):
            if not isinstance(each, ReplicaSet) or not is_controlled_by(each, uid):
                continue
            if selector.matches(each.metadata.labels):
                owned.append(each)
            elif each.metadata.deletion_timestamp is None:
                others = tuple(o for o in each.metadata.owner_references if o.uid != uid)
                self._writes.append(Update(with_metadata(each, owner_references=others)))
        if deployment.metadata.deletion_timestamp is None and selector.requirements:
            for orphan in self._view.matching(ReplicaSet, deployment.metadata.namespace, selector):
                if controller_of(orphan) is None and orphan.metadata.deletion_timestamp is None:
                    owners = (*orphan.metadata.owner_references, owner_reference(deployment))
                    self._writes.append(Update(with_metadata(orphan, owner_references=owners)))
        return owned

    # -- sizes ------------------------------------------------------------------------------------------

    def _was_resized(self, owned: Sequence[ReplicaSet]) -> bool:
        """Whether a ReplicaSet with pods was cut from another total than the Deployment asks for now."""
        totals = (revisions.annotation_number(each, revisions.DESIRED_REPLICAS) for each in owned if each.spec.replicas)
        return any(total is not None and total != self._wanted for total in totals)

    def _resize(self, current: ReplicaSet | None, old: Sequence[ReplicaSet], sizes: dict[str, int]) -> None:
        """Brings the total to the new size and leaves the rollout where it is."""
        everything = [*([current] if current is not None else []), *reversed(old)]
        active = [each for each in everything if each.spec.replicas]
        if len(active) <= 1:
            only = active[0] if active else (everything[0] if everything else None)
            if only is not None:
                sizes[only.metadata.name] = self._wanted
            return
        if current is not None and self._is_saturated(current):
            sizes.update({each.metadata.name: 0 for each in old})
            sizes[current.metadata.name] = self._wanted
            return
        totals = [
            revisions.annotation_number(each, revisions.MAX_REPLICAS) or self._deployment.status.replicas or 1
            for each in active
        ]
        shares = rollout.proportional(self._bound, [each.spec.replicas or 0 for each in active], totals)
        sizes.update({each.metadata.name: share for each, share in zip(active, shares, strict=True)})

    def _is_saturated(self, current: ReplicaSet) -> bool:
        desired = revisions.annotation_number(current, revisions.DESIRED_REPLICAS)
        size = current.spec.replicas or 0
        return size == desired and (current.status.available_replicas or 0) == size

    def _recreate(
        self, current: ReplicaSet | None, old: Sequence[ReplicaSet], sizes: dict[str, int]
    ) -> ReplicaSet | None:
        """No new pod before the last old one is gone."""
        sizes.update({each.metadata.name: 0 for each in old})
        if any(each.spec.replicas for each in old) or any(self._has_pods(each) for each in old):
            return None
        if current is None:
            return self._new(old, self._wanted)
        sizes[current.metadata.name] = self._wanted
        return None

    def _roll(self, current: ReplicaSet | None, old: Sequence[ReplicaSet], sizes: dict[str, int]) -> ReplicaSet | None:
        held = [sizes[each.metadata.name] for each in old]
        if current is None:
            return self._new(old, rollout.new_replicas(self._bound, 0, held))
        size = sizes[current.metadata.name]
        grown = rollout.new_replicas(self._bound, size, held)
        sizes[current.metadata.name] = grown
        if grown != size or not any(held):
            return None
        kept = rollout.old_replicas(self._bound, self._share(current), [self._share(each) for each in old])
        sizes.update({each.metadata.name: count for each, count in zip(old, kept, strict=True)})
        return None

    def _new(self, old: Sequence[ReplicaSet], replicas: int) -> ReplicaSet:
        return revisions.new_replica_set(self._deployment, revisions.next_number(old), replicas, self._total)

    @property
    def _total(self) -> int:
        return self._bound.replicas + self._bound.max_surge

    def _share(self, replica_set: ReplicaSet) -> rollout.Share:
        """Counted from the pods themselves: a ReplicaSet's status is one step behind."""
        size = replica_set.spec.replicas or 0
        min_ready_seconds = self._deployment.spec.min_ready_seconds or 0
        pods = self._pods(replica_set)
        available = sum(is_active(pod) and is_available(pod, min_ready_seconds, self._now) for pod in pods)
        return rollout.Share(size, min(size, available))

    def _has_pods(self, replica_set: ReplicaSet) -> bool:
        return any(pod.status.phase not in FINISHED_PHASES for pod in self._pods(replica_set))

    def _pods(self, replica_set: ReplicaSet) -> list[Pod]:
        uid = replica_set.metadata.uid
        return [pod for pod in self._view.owned_by(uid) if isinstance(pod, Pod) and is_controlled_by(pod, uid)]

    # -- writes -----------------------------------------------------------------------------------------

    def _write_sets(
        self, current: ReplicaSet | None, old: Sequence[ReplicaSet], sizes: dict[str, int], created: ReplicaSet | None
    ) -> None:
        for each in (*([current] if current is not None else []), *old):
            changed = revisions.with_totals(each, self._deployment, self._total) if sizes[each.metadata.name] else each
            if each is current:
                changed = revisions.annotated(changed, self._deployment, revisions.next_number(old), self._total)
            size = sizes[each.metadata.name]
            spec = msgspec.structs.replace(changed.spec, replicas=size)
            if each is current:
                spec = msgspec.structs.replace(spec, min_ready_seconds=self._deployment.spec.min_ready_seconds)
            changed = msgspec.structs.replace(changed, spec=spec)
            if changed != each:
                self._writes.append(Update(changed))
            self._note_scaling(each.metadata.name, each.spec.replicas or 0, size)
        if created is not None:
            self._writes.append(Create(created))
            self._note_scaling(created.metadata.name, 0, created.spec.replicas or 0)

    def _note_scaling(self, name: str, before: int, after: int) -> None:
        if before != after:
            direction = "up" if after > before else "down"
            message = f"Scaled {direction} replica set {name} from {before} to {after}"
            self._notes.append(Note(self._deployment, "Normal", "ScalingReplicaSet", message))

    def _forget_revisions(self, old: Sequence[ReplicaSet]) -> None:
        limit = self._deployment.spec.revision_history_limit
        idle = [
            each
            for each in old
            if not each.spec.replicas and not each.status.replicas and each.metadata.deletion_timestamp is None
        ]
        surplus = len(idle) - (DEFAULT_HISTORY if limit is None else limit)
        for each in sorted(idle, key=revisions.number_of)[: max(0, surplus)]:
            kept = [write for write in self._writes if key_of(write.obj) != key_of(each)]
            self._writes = [*kept, Remove(each)]

    def _write_deployment(
        self,
        current: ReplicaSet | None,
        old: Sequence[ReplicaSet],
        status: DeploymentStatus,
    ) -> None:
        changed = msgspec.structs.replace(self._deployment, status=status)
        if current is not None:
            number = str(max(revisions.number_of(current), revisions.next_number(old)))
            annotations = {**changed.metadata.annotations, revisions.REVISION: number}
            changed = with_metadata(changed, annotations=annotations)
        if changed != self._deployment:
            self._writes.append(Update(changed))


def _owner_of_owner(obj: object, view: View) -> Iterator[Key]:
    owner = controller_of(obj) if isinstance(obj, Pod) else None
    if isinstance(obj, Pod) and owner is not None and owner.kind == "ReplicaSet":
        replica_set = view.get(ReplicaSet, obj.metadata.namespace, owner.name)
        above = controller_of(replica_set) if replica_set is not None else None
        if above is not None and above.kind == "Deployment":
            yield Key("Deployment", obj.metadata.namespace, above.name)


def _may_adopt(obj: object, view: View) -> Iterator[Key]:
    if isinstance(obj, ReplicaSet) and obj.metadata.labels:
        for deployment in view.list(Deployment, obj.metadata.namespace):
            if selectors.from_object(deployment.spec.selector).matches(obj.metadata.labels):
                yield key_of(deployment)
