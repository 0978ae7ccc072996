from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.api.meta import controller_of, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.workloads import Deployment, ReplicaSet
from orchestr8.errors import Conflict
from orchestr8.master.controllers import deployment, replicaset, revisions, rollout
from orchestr8.master.controllers.facts import condition, is_ready
from orchestr8.master.controllers.transactions import transactions
from orchestr8.store.command import Key
from tests.unit.master.controllers import world as build
from tests.unit.master.controllers.world import World, key, template

WEB = Key("Deployment", "default", "web")


def look(world):
    world.step(deployment.decide, WEB)


def work(world, *, ready=True):
    """All controllers look and all pods become ready, until nothing changes any more."""
    for _ in range(200):
        before = world.state.revision
        look(world)
        for each in world.list(ReplicaSet):
            world.step(replicaset.decide, key(each), world.names)
        for pod in world.list(Pod):
            if ready and not is_ready(pod):
                world.set_ready(pod)
        if world.state.revision == before:
            return
    raise AssertionError("the rollout does not end")


def sets(world):
    """Image to size, oldest first."""
    return {
        each.spec.template.spec.containers[0].image: each.spec.replicas
        for each in sorted(world.list(ReplicaSet), key=revisions.number_of)
    }


def rolled_out(replicas=3, **spec):
    world = World()
    world.put(build.deployment(replicas, **spec))
    work(world)
    return world


def set_image(world, image):
    world.change(world.get(Deployment, "web"), spec={"template": template(image)})


def test_a_new_deployment_gets_one_replica_set_named_after_its_template():
    world = rolled_out(3)
    (only,) = world.list(ReplicaSet)
    web = world.get(Deployment, "web")
    suffix = only.metadata.labels["pod-template-hash"]
    assert only.metadata.name == f"web-{suffix}"
    assert only.spec.selector.match_labels == {"app": "web", "pod-template-hash": suffix}
    assert controller_of(only).uid == web.metadata.uid
    assert web.metadata.annotations[revisions.REVISION] == "1"
    assert only.metadata.annotations[revisions.REVISION] == "1"
    assert all(pod.metadata.labels["pod-template-hash"] == suffix for pod in world.list(Pod))


def test_the_status_says_what_rollout_status_asks():
    world = rolled_out(3)
    web = world.get(Deployment, "web")
    status = web.status
    assert status.observed_generation == web.metadata.generation
    assert (status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas) == (3, 3, 3, 3)
    assert status.unavailable_replicas is None
    assert condition(web, "Available").status == "True"
    assert condition(web, "Progressing").reason == "NewReplicaSetAvailable"


def test_a_finished_rollout_is_left_alone():
    world = rolled_out(3)
    before = world.state.revision
    world.seconds += 100_000
    look(world)
    assert world.state.revision == before


def test_a_new_image_replaces_all_pods_under_a_new_revision():
    world = rolled_out(3)
    set_image(world, "web:2")
    work(world)
    assert sets(world) == {"web:1": 0, "web:2": 3}
    assert world.get(Deployment, "web").metadata.annotations[revisions.REVISION] == "2"
    assert {pod.spec.containers[0].image for pod in world.list(Pod)} == {"web:2"}


def test_going_back_to_an_old_template_makes_its_replica_set_current_again():
    world = rolled_out(2)
    set_image(world, "web:2")
    work(world)
    set_image(world, "web:1")
    work(world)
    assert sets(world) == {"web:1": 2, "web:2": 0}
    current = max(world.list(ReplicaSet), key=revisions.number_of)
    assert current.metadata.annotations[revisions.REVISION] == "3"
    assert current.metadata.annotations[revisions.REVISION_HISTORY] == "1"


def test_the_reason_of_a_change_is_kept_with_its_revision():
    world = rolled_out(1)
    web = world.get(Deployment, "web")
    changed = with_metadata(web, annotations={**web.metadata.annotations, "kubernetes.io/change-cause": "new image"})
    world.put(changed)
    set_image(world, "web:2")
    work(world)
    causes = [
        each.metadata.annotations.get("kubernetes.io/change-cause")
        for each in sorted(world.list(ReplicaSet), key=revisions.number_of)
    ]
    assert causes == [None, "new image"]


def test_no_more_idle_replica_sets_are_kept_than_the_history_limit():
    world = rolled_out(1, revision_history_limit=2)
    for version in range(2, 7):
        set_image(world, f"web:{version}")
        work(world)
    assert list(sets(world)) == ["web:4", "web:5", "web:6"]


def test_a_paused_deployment_is_resized_but_not_rolled_out():
    world = rolled_out(2)
    web = world.get(Deployment, "web")
    world.change(web, spec={"paused": True, "template": template("web:2"), "replicas": 4})
    work(world)
    assert sets(world) == {"web:1": 4}
    assert condition(world.get(Deployment, "web"), "Progressing").reason == "DeploymentPaused"
    world.change(web, spec={"paused": None})
    work(world)
    assert sets(world) == {"web:1": 0, "web:2": 4}


def test_recreate_starts_no_new_pod_before_the_last_old_one_is_gone():
    world = rolled_out(2, recreate=True)
    for pod in world.list(Pod):
        world.change(pod, spec={"node_name": "n1"})
    set_image(world, "web:2")
    for _ in range(5):
        look(world)
        for each in world.list(ReplicaSet):
            world.step(replicaset.decide, key(each), world.names)
    ending = world.list(Pod)
    assert len(ending) == 2 and all(pod.metadata.deletion_timestamp for pod in ending)
    assert sets(world) == {"web:1": 0}
    for pod in ending:
        world.remove(pod)
    woken = [each for change in world.state.since(world.state.revision - 1) for each in affected(world, change)]
    assert woken == [WEB]
    work(world)
    assert sets(world) == {"web:1": 0, "web:2": 2}


def affected(world, change):
    return list(deployment.affected(change, world.view))


def test_a_rollout_without_progress_is_reported_at_its_deadline_and_recovers():
    world = rolled_out(2, progress_deadline_seconds=60)
    set_image(world, "web:2")
    work(world, ready=False)
    plan = world.step(deployment.decide, WEB)
    assert plan.wake_at is not None and plan.wake_at <= world.now.wall + timedelta(seconds=60)
    world.seconds += 61
    look(world)
    progressing = condition(world.get(Deployment, "web"), "Progressing")
    assert (progressing.status, progressing.reason) == ("False", "ProgressDeadlineExceeded")
    work(world)
    assert condition(world.get(Deployment, "web"), "Progressing").reason == "NewReplicaSetAvailable"


def test_a_broken_new_version_leaves_the_old_pods_in_service():
    world = rolled_out(4, surge=1, unavailable=0)
    set_image(world, "web:2")
    work(world, ready=False)
    assert sets(world) == {"web:1": 4, "web:2": 1}
    assert condition(world.get(Deployment, "web"), "Available").status == "True"


def test_resizing_in_the_middle_of_a_rollout_keeps_the_proportions():
    world = rolled_out(10, surge=2, unavailable=2)
    set_image(world, "web:2")
    work(world, ready=False)
    before = sets(world)
    world.change(world.get(Deployment, "web"), spec={"replicas": 20})
    look(world)
    after = sets(world)
    assert sum(after.values()) == 22
    assert all(after[image] > before[image] for image in before)


def test_a_name_that_is_taken_by_a_stranger_leads_to_another_name():
    world = World()
    web = world.put(build.deployment(1))
    name = revisions.new_replica_set(web, 1, 1, 1).metadata.name
    stranger = msgspec.structs.replace(
        build.replica_set(name), spec=msgspec.structs.replace(build.replica_set().spec, template=template("other:1"))
    )
    world.put(stranger)
    look(world)
    assert world.get(Deployment, "web").status.collision_count == 1
    work(world)
    assert {controller_of(each) is not None for each in world.list(ReplicaSet)} == {True, False}


def test_a_template_that_was_copied_with_its_hash_is_still_one_template():
    world = World()
    world.put(build.deployment(1, template=template(app="web", **{"pod-template-hash": "copied"})))
    work(world)
    assert len(world.list(ReplicaSet)) == 1
    assert world.get(Deployment, "web").status.collision_count is None


def test_an_orphan_replica_set_is_adopted_and_a_stranger_released():
    world = rolled_out(1)
    (only,) = world.list(ReplicaSet)
    world.put(with_metadata(only, owner_references=()))
    work(world)
    (adopted,) = world.list(ReplicaSet)
    assert controller_of(adopted).name == "web"
    world.put(with_metadata(adopted, labels={"app": "debug"}))
    work(world)
    assert controller_of(world.get(ReplicaSet, adopted.metadata.name)) is None
    assert len(world.list(ReplicaSet)) == 2


def test_a_deployment_that_is_being_deleted_is_only_counted():
    world = rolled_out(2)
    marked = with_metadata(
        world.get(Deployment, "web"), deletion_timestamp=world.now.wall, finalizers=("foregroundDeletion",)
    )
    world.put(marked)
    set_image(world, "web:2")
    look(world)
    assert sets(world) == {"web:1": 2}


def test_a_plan_made_for_an_old_spec_is_refused():
    world = rolled_out(2)
    set_image(world, "web:2")
    plan = deployment.decide(world.view, WEB, world.now)
    (txn,) = transactions(world.view, WEB, plan, world.now.wall, world.names)
    set_image(world, "web:3")
    with pytest.raises(Conflict):
        world.apply(txn)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_rolling_update_never_breaks_its_promises_whatever_pods_do(data):
    """Controllers look in any order and number, pods change between such rounds."""
    replicas = data.draw(st.integers(1, 6))
    surge, unavailable = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    world = rolled_out(replicas, surge=surge, unavailable=unavailable)
    bound = rollout.bounds(replicas, surge, unavailable)
    least = bound.replicas - bound.max_unavailable
    set_image(world, "web:2")
    for _ in range(data.draw(st.integers(5, 30))):
        action = data.draw(st.sampled_from(["controllers", "controllers", "ready", "unready", "image", "lost"]))
        pods = world.list(Pod)
        if action == "controllers":
            before = available(world)
            for who in data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6)):
                look_of(world, who)
                assert sum(each.spec.replicas for each in world.list(ReplicaSet)) <= bound.replicas + bound.max_surge
            for who in range(1, len(world.list(ReplicaSet)) + 1):
                look_of(world, who)
            assert available(world) >= min(before, least)
        elif action == "image":
            set_image(world, data.draw(st.sampled_from(["web:1", "web:2", "web:3"])))
        elif pods:
            pod = pods[data.draw(st.integers(0, len(pods) - 1))]
            if action == "lost":
                world.remove(pod)
            else:
                world.set_ready(pod, ready=action == "ready")
    work(world)
    wanted = world.get(Deployment, "web").spec.template.spec.containers[0].image
    assert {image: size for image, size in sets(world).items() if size} == {wanted: replicas}


def available(world):
    return sum(is_ready(pod) for pod in world.list(Pod) if replicaset.is_active(pod))


def look_of(world, who):
    """0: the Deployment; otherwise the ReplicaSet of that number, if there is one."""
    if who == 0:
        look(world)
        return
    for each in world.list(ReplicaSet)[who - 1 : who]:
        world.step(replicaset.decide, key(each), world.names)
