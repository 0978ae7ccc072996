"""The documents hold together, and the real ``kubectl explain`` reads them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestr8.api import kinds, openapi

KUBECTL = Path(sys.executable).with_name("kubectl")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            else:
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.parametrize(("group", "version"), openapi.group_versions())
def test_every_reference_of_a_document_leads_somewhere(group: str, version: str) -> None:
    document = openapi.document(group, version)
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= names


def test_every_kind_has_a_schema_and_a_patch_that_takes_field_validation() -> None:
    for kind in kinds.KINDS:
        document = openapi.document(kind.group, kind.version)
        wanted = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        schemas = [
            schema
            for schema in document["components"]["schemas"].values()
            if wanted in schema.get("x-kubernetes-group-version-kind", ())
        ]
        assert len(schemas) == 1
        operations = [
            operation
            for path in document["paths"].values()
            for verb, operation in path.items()
            if verb == "patch" and operation["x-kubernetes-group-version-kind"] == wanted
        ]
        if kind.stored:
            names = {parameter["name"] for parameter in operations[0]["parameters"]}
            assert {"dryRun", "fieldManager", "fieldValidation", "force"} <= names


def test_merge_keys_and_list_types_are_told() -> None:
    pod_spec = openapi.document("", "v1")["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]
    assert pod_spec["containers"]["x-kubernetes-patch-merge-key"] == "name"
    assert pod_spec["containers"]["x-kubernetes-list-type"] == "map"
    assert pod_spec["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys"
    assert pod_spec["tolerations"]["x-kubernetes-list-type"] == "atomic"
    assert pod_spec["nodeSelector"]["x-kubernetes-map-type"] == "atomic"


def test_the_index_changes_with_the_content() -> None:
    paths = openapi.index()["paths"]
    assert set(paths) >= {"api/v1", "apis/apps/v1"}
    hashes = {entry["serverRelativeURL"].partition("hash=")[2] for entry in paths.values()}
    assert len(hashes) == len(paths)


def test_a_group_that_is_not_served_has_no_document() -> None:
    with pytest.raises(KeyError):
        openapi.document("gadgets", "v1")


def answers() -> dict[str, Any]:
    groups = {group: version for group, version in openapi.group_versions() if group}
    found: dict[str, Any] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": group, "versions": [{"groupVersion": f"{group}/{version}", "version": version}]}
                for group, version in groups.items()
            ],
        },
        "/openapi/v3": openapi.index(),
    }
    for group, version in openapi.group_versions():
        place = f"apis/{group}/{version}" if group else f"api/{version}"
        found[f"/openapi/v3/{place}"] = openapi.document(group, version)
        found[f"/{place}"] = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": place.partition("/")[2],
            "resources": [
                {
                    "name": kind.plural,
                    "singularName": kind.singular,
                    "kind": kind.kind,
                    "namespaced": kind.namespaced,
                    "verbs": list(kind.verbs),
                    "shortNames": list(kind.short_names),
                }
                for kind in kinds.KINDS
                if (kind.group, kind.version) == (group, version)
            ],
        }
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    known = answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = known.get(self.path.partition("?")[0])
            body = json.dumps(answer).encode()
            self.send_response(200 if answer is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (
            "pod.spec.containers",
            ["FIELD: containers <[]Container>", "imagePullPolicy\t<string>", "name\t<string> -required-"],
        ),
        (
            "deployment.spec.strategy",
            ["KIND:       Deployment", "GROUP:      apps", "rollingUpdate\t<RollingUpdateDeployment>"],
        ),
        ("svc.spec.ports.targetPort", ["FIELD: targetPort <IntOrString>", "the same one unless set"]),
        ("configmap", ["data\t<map[string]string>"]),
        ("endpointslice.endpoints.conditions", ["serving\t<boolean>"]),
        ("lease.spec", ["renewTime\t<string>"]),
        ("node.status.capacity", ["FIELD: capacity <map[string]Quantity>"]),
    ],
)
def test_kubectl_explains_from_the_documents(server: str, tmp_path: Path, what: str, expected: list[str]) -> None:
    done = subprocess.run(
        [KUBECTL, "--server", server, "--cache-dir", tmp_path, "explain", what],
        capture_output=True,
        check=False,
        env={"HOME": str(tmp_path)},
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    for text in expected:
        assert text in done.stdout
