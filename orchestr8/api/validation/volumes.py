"""Rules of a pod's volumes."""

from __future__ import annotations

from orchestr8.api import quantity
from orchestr8.api.pod import KeyToPath, Volume
from orchestr8.api.shape import fields_of
from orchestr8.api.validation import syntax
from orchestr8.api.validation.complaints import Complaints
from orchestr8.api.validation.container import check_inner_path

HOST_PATH_TYPES = (
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
)
MEDIA = ("Memory", "HugePages")


def check_volumes(complaints: Complaints, volumes: tuple[Volume, ...], path: str) -> None:
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        here = f"{path}[{index}]"
        if not volume.name:
            complaints.required(f"{here}.name")
        elif problem := syntax.label(volume.name):
            complaints.invalid(f"{here}.name", volume.name, problem)
        elif volume.name in names:
            complaints.duplicate(f"{here}.name", volume.name)
        names.add(volume.name)
        _check_source(complaints, volume, here)


def sources_of(volume: Volume) -> list[str]:
    """The JSON names of the sources that a volume names; exactly one is right."""
    return [
        field.name
        for field in fields_of(Volume).values()
        if field.name != "name" and getattr(volume, field.attribute) is not None
    ]


def _check_source(complaints: Complaints, volume: Volume, path: str) -> None:
    sources = sources_of(volume)
    if not sources:
        complaints.required(path, "must specify a volume type")
    for extra in sources[1:]:
        complaints.forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    if volume.empty_dir is not None:
        _check_size(complaints, volume.empty_dir.size_limit, f"{path}.emptyDir.sizeLimit")
        medium = volume.empty_dir.medium
        if medium and not medium.startswith(MEDIA):
            complaints.not_supported(f"{path}.emptyDir.medium", medium, MEDIA)
    if volume.host_path is not None:
        _check_host_path(complaints, volume.host_path.path, volume.host_path.type, f"{path}.hostPath")
    if volume.config_map is not None:
        if not volume.config_map.name:
            complaints.required(f"{path}.configMap.name")
        _check_items(complaints, volume.config_map.items, volume.config_map.default_mode, f"{path}.configMap")
    if volume.secret is not None:
        if not volume.secret.secret_name:
            complaints.required(f"{path}.secret.secretName")
        _check_items(complaints, volume.secret.items, volume.secret.default_mode, f"{path}.secret")


def _check_size(complaints: Complaints, text: str | None, path: str) -> None:
    if text is None:
        return
    if not quantity.is_valid(text):
        complaints.invalid(path, text, "must be a quantity such as 64Mi")
    elif quantity.parse(text) < 0:
        complaints.invalid(path, text, "must be greater than or equal to 0")


def _check_host_path(complaints: Complaints, host_path: str, kind: str | None, path: str) -> None:
    if not host_path:
        complaints.required(f"{path}.path")
    elif ".." in host_path.split("/"):
        complaints.invalid(f"{path}.path", host_path, "must not contain '..'")
    complaints.one_of(f"{path}.type", kind, HOST_PATH_TYPES)


def _check_items(complaints: Complaints, items: tuple[KeyToPath, ...], default_mode: int | None, path: str) -> None:
    _check_mode(complaints, default_mode, f"{path}.defaultMode")
    for index, item in enumerate(items):
        here = f"{path}.items[{index}]"
        if not item.key:
            complaints.required(f"{here}.key")
        if not item.path:
            complaints.required(f"{here}.path")
        else:
            check_inner_path(complaints, item.path, f"{here}.path")
        _check_mode(complaints, item.mode, f"{here}.mode")


def _check_mode(complaints: Complaints, mode: int | None, path: str) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        complaints.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")
