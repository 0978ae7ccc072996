"""volumes"""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.fields import Int32, Int64, Noun, Quantity, about, always


class KeyToPath(Noun, frozen=True, kw_only=True):
    """KeyToPath."""

    key: Annotated[str, about("")] = always("")
    mode: Annotated[Int32 | None, about("", zero_matters=True)] = None
    path: Annotated[str, about("")] = always("")
    user: Annotated[Int64 | None, about("")] = None


class EmptyDirVolumeSource(Noun, frozen=True, kw_only=True):
    """EmptyDirVolumeSource."""

    medium: Annotated[str | None, about("")] = None
    mode: Annotated[Int32 | None, about("", zero_matters=True)] = None
    size_limit: Annotated[Quantity | None, about("")] = None


class HostPathVolumeSource(Noun, frozen=True, kw_only=True):
    """HostPathVolumeSource."""

    path: Annotated[str, about("")] = always("")
    type: Annotated[str | None, about("", zero_matters=True)] = None


class ConfigMapVolumeSource(Noun, frozen=True, kw_only=True):
    """ConfigMapVolumeSource."""

    default_mode: Annotated[Int32 | None, about("", zero_matters=True)] = None
    default_user: Annotated[Int64 | None, about("", zero_matters=True)] = None
    items: Annotated[tuple[KeyToPath, ...], about("")] = ()
    name: Annotated[str | None, about("")] = None
    optional: Annotated[bool | None, about("", zero_matters=True)] = None


class SecretVolumeSource(Noun, frozen=True, kw_only=True):
    """SecretVolumeSource."""

    default_mode: Annotated[Int32 | None, about("", zero_matters=True)] = None
    default_user: Annotated[Int64 | None, about("", zero_matters=True)] = None
    items: Annotated[tuple[KeyToPath, ...], about("")] = ()
    optional: Annotated[bool | None, about("", zero_matters=True)] = None
    secret_name: Annotated[str | None, about("")] = None


class PersistentVolumeClaimVolumeSource(Noun, frozen=True, kw_only=True):
    """PersistentVolumeClaimVolumeSource."""

    claim_name: Annotated[str, about("")] = always("")
    read_only: Annotated[bool | None, about("")] = None


class Volume(Noun, frozen=True, kw_only=True):
    """Volume."""

    name: Annotated[str, about("")] = always("")
    aws_elastic_block_store: Annotated[dict[str, Any] | None, about("")] = None
    azure_disk: Annotated[dict[str, Any] | None, about("")] = None
    azure_file: Annotated[dict[str, Any] | None, about("")] = None
    cephfs: Annotated[dict[str, Any] | None, about("")] = None
    cinder: Annotated[dict[str, Any] | None, about("")] = None
    config_map: Annotated[ConfigMapVolumeSource | None, about("")] = None
    csi: Annotated[dict[str, Any] | None, about("")] = None
    downward_api: Annotated[dict[str, Any] | None, about("")] = None
    empty_dir: Annotated[EmptyDirVolumeSource | None, about("")] = None
    ephemeral: Annotated[dict[str, Any] | None, about("")] = None
    fc: Annotated[dict[str, Any] | None, about("")] = None
    flex_volume: Annotated[dict[str, Any] | None, about("")] = None
    flocker: Annotated[dict[str, Any] | None, about("")] = None
    gce_persistent_disk: Annotated[dict[str, Any] | None, about("")] = None
    git_repo: Annotated[dict[str, Any] | None, about("")] = None
    glusterfs: Annotated[dict[str, Any] | None, about("")] = None
    host_path: Annotated[HostPathVolumeSource | None, about("")] = None
    image: Annotated[dict[str, Any] | None, about("")] = None
    iscsi: Annotated[dict[str, Any] | None, about("")] = None
    nfs: Annotated[dict[str, Any] | None, about("")] = None
    persistent_volume_claim: Annotated[PersistentVolumeClaimVolumeSource | None, about("")] = None
    photon_persistent_disk: Annotated[dict[str, Any] | None, about("")] = None
    portworx_volume: Annotated[dict[str, Any] | None, about("")] = None
    projected: Annotated[dict[str, Any] | None, about("")] = None
    quobyte: Annotated[dict[str, Any] | None, about("")] = None
    rbd: Annotated[dict[str, Any] | None, about("")] = None
    scale_io: Annotated[dict[str, Any] | None, about("")] = None
    secret: Annotated[SecretVolumeSource | None, about("")] = None
    storageos: Annotated[dict[str, Any] | None, about("")] = None
    vsphere_volume: Annotated[dict[str, Any] | None, about("")] = None
