"""Who may do what. Pure: (identity, what is asked, the state) to a yes or a reason why not.

Four kinds of right: ``system:masters`` may do all; a node (``system:node:NAME`` in ``system:nodes``) may read what a
node needs and touch only its own Node, the pods bound to it, and the ConfigMaps and Secrets that those refer to;
``orchestr8:viewers`` may read all but Secrets and may not enter pods; everybody known may discover the API and ask
about himself. The same rules, as data, answer ``kubectl auth can-i --list``.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestr8.api.authorization import NonResourceRule, ResourceRule
from orchestr8.api.kinds import KINDS
from orchestr8.api.pod import Pod
from orchestr8.errors import Forbidden
from orchestr8.master.apiserver.auth import AUTHENTICATED
from orchestr8.master.apiserver.deps import Identity
from orchestr8.master.nodes.assignments import references
from orchestr8.store.command import Key
from orchestr8.store.view import View

ADMINS = "system:masters"
NODES = "system:nodes"
VIEWERS = "orchestr8:viewers"
NODE_USER = "system:node:"

_READ = ("get", "list", "watch")
_SELF_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectreviews", "selfsubjectrulesreviews")
_VIEWED = tuple(kind.plural for kind in KINDS if kind.stored and kind.plural != "secrets")

EVERYBODY_RULES = (
    ResourceRule(
        api_groups=("authorization.k8s.io", "authentication.k8s.io"), resources=_SELF_REVIEWS, verbs=("create",)
    ),
)
VIEWER_RULES = (
    ResourceRule(
        api_groups=tuple(sorted({kind.group for kind in KINDS if kind.stored})),
        resources=(
            *_VIEWED,
            "pods/log",
            *(
                f"{kind.plural}/{sub.name}"
                for kind in KINDS
                for sub in kind.subresources
                if sub.name in ("status", "scale")
            ),
        ),
        verbs=_READ,
    ),
)
# What a node may do to any object; what is its own is decided by _own below.
NODE_RULES = (
    ResourceRule(api_groups=("",), resources=("nodes", "services", "endpoints"), verbs=_READ),
    ResourceRule(api_groups=("discovery.k8s.io",), resources=("endpointslices",), verbs=_READ),
    ResourceRule(api_groups=("",), resources=("events",), verbs=("create", "patch", "update")),
)
_ADMIN_RULES = (ResourceRule(api_groups=("*",), resources=("*",), verbs=("*",)),)
_DISCOVERY = (
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/readyz",
    "/openapi",
    "/openapi/*",
    "/version",
)
_OPERATING = ("/metrics", "/orchestr8/*")


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is asked. ``resource`` "": ``path`` is asked for. ``node_selected``: whose pods a list is cut to."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    node_selected: str = ""


def check(identity: Identity, asked: Attributes, view: View) -> None:
    """Raises Forbidden, saying who may not do what."""
    if not allowed(identity, asked, view):
        raise Forbidden(refusal_message(identity, asked))


def allowed(identity: Identity, asked: Attributes, view: View) -> bool:
    if ADMINS in identity.groups:
        return True
    if not asked.resource:
        return any(
            _path_matches(pattern, asked.path) for rule in path_rules(identity) for pattern in rule.non_resource_urls
        )
    if any(_rule_allows(rule, asked) for rule in resource_rules(identity)):
        return True
    node = node_name(identity)
    return bool(node) and _own(node, asked, view)


def resource_rules(identity: Identity) -> tuple[ResourceRule, ...]:
    """The rules that do not depend on an object's content."""
    if ADMINS in identity.groups:
        return _ADMIN_RULES
    rules: tuple[ResourceRule, ...] = EVERYBODY_RULES if AUTHENTICATED in identity.groups else ()
    if VIEWERS in identity.groups:
        rules += VIEWER_RULES
    if node_name(identity):
        rules += NODE_RULES
    return rules


def path_rules(identity: Identity) -> tuple[NonResourceRule, ...]:
    if ADMINS in identity.groups:
        return (NonResourceRule(non_resource_urls=("*",), verbs=("*",)),)
    paths: tuple[str, ...] = _DISCOVERY if AUTHENTICATED in identity.groups else ()
    if VIEWERS in identity.groups:
        paths += _OPERATING
    return (NonResourceRule(non_resource_urls=paths, verbs=("get",)),)


def node_name(identity: Identity) -> str:
    """The node that asks, or ""."""
    if NODES in identity.groups and identity.user.startswith(NODE_USER):
        return identity.user.removeprefix(NODE_USER)
    return ""


def refusal_message(identity: Identity, asked: Attributes) -> str:
    if not asked.resource:
        return f'User "{identity.user}" cannot {asked.verb} path "{asked.path}"'
    group = f".{asked.group}" if asked.group else ""
    name = f' "{asked.name}"' if asked.name else ""
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    resource = _full_resource(asked)
    return (
        f'{asked.resource}{group}{name} is forbidden: User "{identity.user}" cannot {asked.verb} resource "{resource}" '
        f'in API group "{asked.group}" {where}'
    )


def _full_resource(asked: Attributes) -> str:
    return f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource


def _rule_allows(rule: ResourceRule, asked: Attributes) -> bool:
    resource = _full_resource(asked)
    return asked.verb in rule.verbs and asked.group in rule.api_groups and resource in rule.resources


def _path_matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path.rstrip("/") == pattern


def _own(node: str, asked: Attributes, view: View) -> bool:
    """What is a node's own: its Node, the pods bound to it, and what those pods refer to."""
    match (asked.group, asked.resource, asked.subresource, asked.verb):
        case ("", "nodes", "" | "status", "create" | "update" | "patch"):
            return asked.name == node
        case ("coordination.k8s.io", "leases", "", "get" | "create" | "update" | "patch"):
            return asked.namespace == "kube-node-lease" and asked.name == node
        case ("", "pods", "", "list" | "watch"):
            return asked.node_selected == node
        case ("", "pods", "", "get" | "delete") | ("", "pods", "status", "get" | "update" | "patch"):
            pod = view.get(Pod, asked.namespace, asked.name)
            return pod is not None and pod.spec.node_name == node
        case ("", "configmaps" | "secrets" as resource, "", "get"):
            wanted = Key("ConfigMap" if resource == "configmaps" else "Secret", asked.namespace, asked.name)
            return any(wanted in references(pod) for pod in view.pods_on(node))
        case ("", "serviceaccounts", "", "get"):
            return any(
                pod.metadata.namespace == asked.namespace and pod.spec.service_account_name == asked.name
                for pod in view.pods_on(node)
            )
    return False
