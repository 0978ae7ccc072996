"""Strategic merge does what the real kubectl does, on a table and on generated cases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.api.patch import strategic_merge_patch
from orchestr8.api.pod import Pod
from orchestr8.api.service import Service
from orchestr8.api.workloads import Deployment
from orchestr8.errors import BadRequest

KUBECTL = Path(sys.executable).with_name("kubectl")

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}, "finalizers": ["x/a", "x/b", "x/c"]},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "web:1",
                        "command": ["a", "b"],
                        "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}, {"name": "Z", "value": "3"}],
                        "ports": [{"containerPort": 80}, {"containerPort": 81, "name": "admin"}],
                    },
                    {"name": "log", "image": "log:1"},
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "etc", "configMap": {"name": "etc"}}],
                "tolerations": [{"key": "a", "operator": "Exists"}],
            },
        },
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP", "name": "b"}]},
}


def in_template(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


def in_web(**container: Any) -> dict[str, Any]:
    return in_template(containers=[{"name": "web", **container}])


def kubectl_patch(target: dict[str, Any], patch: dict[str, Any], folder: Path) -> dict[str, Any]:
    file = folder / "target.json"
    file.write_text(json.dumps(target))
    done = subprocess.run(
        [KUBECTL, "patch", "--local", "--type=strategic", "-o", "json", "-f", file, "-p", json.dumps(patch)],
        capture_output=True,
        check=False,
        env={"HOME": str(folder)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


CASES = {
    "a scalar is replaced": in_web(image="web:2"),
    "null removes a scalar": in_web(image=None),
    "labels merge": {"metadata": {"labels": {"tier": "back", "new": "1"}}},
    "null removes a label": {"metadata": {"labels": {"tier": None}}},
    "a map is replaced on demand": {"metadata": {"labels": {"$patch": "replace", "only": "1"}}},
    "a map is emptied on demand": {"metadata": {"labels": {"$patch": "delete"}}},
    "an item merges by its key": in_web(env=[{"name": "Y", "value": "9"}]),
    "a new item comes first": in_web(env=[{"name": "W", "value": "0"}]),
    "new and old items together": in_web(env=[{"name": "W", "value": "0"}, {"name": "X", "value": "9"}]),
    "items in another order": in_web(env=[{"name": "Z", "value": "7"}, {"name": "X", "value": "9"}]),
    "an item is deleted": in_web(env=[{"name": "Y", "$patch": "delete"}]),
    "an item that is not there is deleted": in_web(env=[{"name": "Q", "$patch": "delete"}]),
    "a list is replaced on demand": in_web(env=[{"$patch": "replace"}, {"name": "Y", "value": "8"}]),
    "a plain list is replaced": in_web(command=["c"]),
    "an atomic list of objects is replaced": in_template(tolerations=[{"key": "b", "operator": "Exists"}]),
    "a number as merge key": in_web(ports=[{"containerPort": 81, "name": "other"}, {"containerPort": 82}]),
    "the order is set": in_web(
        **{"$setElementOrder/env": [{"name": "Z"}, {"name": "X"}, {"name": "Y"}], "env": [{"name": "X", "value": "5"}]}
    ),
    "the order is set without a change": in_web(**{"$setElementOrder/env": [{"name": "Z"}, {"name": "Y"}]}),
    "the order is set with a deletion": in_web(
        **{
            "$setElementOrder/env": [{"name": "Z"}, {"name": "X"}],
            "env": [{"name": "Y", "$patch": "delete"}],
        }
    ),
    "the order is set with a deletion and an addition": in_web(
        **{
            "$setElementOrder/env": [{"name": "W"}, {"name": "V"}],
            "env": [{"name": "Y", "$patch": "delete"}, {"name": "W", "value": "1"}, {"name": "V", "value": "1"}],
        }
    ),
    "the order is set with an addition": in_template(
        **{
            "$setElementOrder/containers": [{"name": "new"}, {"name": "log"}, {"name": "web"}],
            "containers": [{"name": "new", "image": "new:1"}],
        }
    ),
    "a container is deleted": in_template(containers=[{"name": "log", "$patch": "delete"}]),
    "a volume of another source": in_template(
        volumes=[{"name": "etc", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}]
    ),
    "a volume added beside": in_template(volumes=[{"name": "new", "emptyDir": {"medium": "Memory"}}]),
    "a strategy without its old settings": {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
    "finalizers are added": {"metadata": {"finalizers": ["x/d", "x/a"]}},
    "finalizers are removed": {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/b", "x/q"]}},
    "finalizers are ordered": {
        "metadata": {"$setElementOrder/finalizers": ["x/c", "x/d", "x/a"], "finalizers": ["x/d"]}
    },
    "finalizers are removed and ordered": {
        "metadata": {
            "$deleteFromPrimitiveList/finalizers": ["x/b"],
            "$setElementOrder/finalizers": ["x/c", "x/a"],
        }
    },
    "an object is added": in_web(resources={"limits": {"cpu": "1", "memory": None}}),
    "an object meets a scalar": {"spec": {"replicas": 3}},
    "a selector's labels merge": {"spec": {"selector": {"matchLabels": {"tier": "front"}}}},
    "nothing": {},
}


@pytest.mark.parametrize("name", CASES)
def test_a_deployment_is_patched_as_kubectl_does(name: str, tmp_path: Path) -> None:
    patch = CASES[name]
    assert strategic_merge_patch(Deployment, DEPLOYMENT, patch) == kubectl_patch(DEPLOYMENT, patch, tmp_path)


def test_service_ports_merge_by_their_port(tmp_path: Path) -> None:
    patch = {"spec": {"ports": [{"port": 81, "name": "c"}, {"port": 82, "name": "d"}]}}
    assert strategic_merge_patch(Service, SERVICE, patch) == kubectl_patch(SERVICE, patch, tmp_path)


names = st.sampled_from(["X", "Y", "Z", "V", "W"])
items = st.one_of(
    st.builds(lambda name, value: {"name": name, "value": value}, names, st.sampled_from(["1", "2"])),
    st.builds(lambda name: {"name": name, "$patch": "delete"}, names),
)
unique_names = st.lists(names, unique=True, max_size=5)


@st.composite
def env_patches(draw: st.DrawFn) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    chosen = draw(st.lists(items, unique_by=lambda item: item["name"], max_size=5))
    if chosen or draw(st.booleans()):
        patch["env"] = chosen
    if draw(st.booleans()):
        mine = [item["name"] for item in chosen if "$patch" not in item]
        others = [name for name in draw(unique_names) if name not in {item["name"] for item in chosen}]
        order = [*mine]
        for name in others:
            order.insert(draw(st.integers(0, len(order))), name)
        if order:
            patch["$setElementOrder/env"] = [{"name": name} for name in order]
    return patch


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=unique_names.filter(bool), patch=env_patches())
def test_generated_lists_are_patched_as_kubectl_does(before: list[str], patch: dict[str, Any], tmp_path: Path) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "web", "env": [{"name": name, "value": "0"} for name in before]}]},
    }
    whole = {"spec": {"containers": [{"name": "web", **patch}]}}
    assert strategic_merge_patch(Pod, pod, whole) == kubectl_patch(pod, whole, tmp_path)


def test_neither_target_nor_patch_is_altered() -> None:
    for patch in CASES.values():
        before = json.dumps(DEPLOYMENT), json.dumps(patch)
        strategic_merge_patch(Deployment, DEPLOYMENT, patch)
        assert (json.dumps(DEPLOYMENT), json.dumps(patch)) == before


def test_what_meets_nothing_is_added_without_directives() -> None:
    patch = in_template(
        initContainers=[
            {
                "name": "i",
                "$retainKeys": ["name"],
                "env": [{"name": "A", "$patch": "delete"}, {"name": "B", "value": None}],
            }
        ]
    )
    merged = strategic_merge_patch(Deployment, DEPLOYMENT, patch)
    assert merged["spec"]["template"]["spec"]["initContainers"] == [{"name": "i", "env": [{"name": "B"}]}]


@pytest.mark.parametrize(
    ("patch", "complaint"),
    [
        (
            in_template(containers=[{"image": "x"}]),
            "containers[0]: does not contain the list's merge key",
        ),
        (in_template(containers=["x"]), "spec.template.spec.containers[0]: must be an object"),
        (in_web(env=[{"name": "X", "$patch": "explode"}]), "unknown $patch directive 'explode'"),
        ({"metadata": {"labels": {"$patch": "merge"}}}, "metadata.labels: unknown $patch directive"),
        ({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}}, "missing in $retainKeys"),
        (in_web(**{"$setElementOrder/env": "X"}), "env: $setElementOrder must be a list"),
        (
            in_web(**{"$setElementOrder/env": [{"name": "Y"}], "env": [{"name": "X", "value": "1"}]}),
            "does not match $setElementOrder",
        ),
        ({"metadata": {"finalizers": [{}]}}, "metadata.finalizers: items must be plain values"),
        ([], "must be a JSON object"),
    ],
)
def test_a_senseless_patch_is_refused_and_named(patch: Any, complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        strategic_merge_patch(Deployment, DEPLOYMENT, patch)
    assert complaint in caught.value.message
