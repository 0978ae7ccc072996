"""The volumes of a pod. Sources that are not mounted yet are kept as plain objects, so that nothing is lost.

Import these through ``api.pod``. Source: the Kubernetes API reference, "Volume".
"""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.fields import Int32, Int64, Noun, Quantity, about, always


class KeyToPath(Noun, frozen=True, kw_only=True):
    """Puts one entry into a file."""

    key: Annotated[str, about("Key of the entry.")] = always("")
    mode: Annotated[Int32 | None, about("Permissions of this file.", zero_matters=True)] = None
    path: Annotated[str, about("Path of the file in the volume.")] = always("")
    user: Annotated[Int64 | None, about("Owner of this file.")] = None


class EmptyDirVolumeSource(Noun, frozen=True, kw_only=True):
    """A folder that is empty when the pod starts and goes with it."""

    medium: Annotated[str | None, about("Memory keeps the folder in memory; empty: on the node's disk.")] = None
    mode: Annotated[Int32 | None, about("Permissions of the file or folder.", zero_matters=True)] = None
    size_limit: Annotated[Quantity | None, about("The most it may hold.")] = None


class HostPathVolumeSource(Noun, frozen=True, kw_only=True):
    """A file or folder of the node itself."""

    path: Annotated[str, about("Path on the node.")] = always("")
    type: Annotated[
        str | None, about("What must be there, such as Directory or File; empty: no check.", zero_matters=True)
    ] = None


class ConfigMapVolumeSource(Noun, frozen=True, kw_only=True):
    """The entries of a ConfigMap as files."""

    default_mode: Annotated[Int32 | None, about("Permissions of the files, 0644 unless set.", zero_matters=True)] = None
    default_user: Annotated[Int64 | None, about("Owner of the files.", zero_matters=True)] = None
    items: Annotated[
        tuple[KeyToPath, ...], about("Which entries become which files; unset: all, each under its key.")
    ] = ()
    name: Annotated[str | None, about("Name of the ConfigMap.")] = None
    optional: Annotated[bool | None, about("Whether it may be missing.", zero_matters=True)] = None


class SecretVolumeSource(Noun, frozen=True, kw_only=True):
    """The entries of a Secret as files."""

    default_mode: Annotated[Int32 | None, about("Permissions of the files, 0644 unless set.", zero_matters=True)] = None
    default_user: Annotated[Int64 | None, about("Owner of the files.", zero_matters=True)] = None
    items: Annotated[
        tuple[KeyToPath, ...], about("Which entries become which files; unset: all, each under its key.")
    ] = ()
    optional: Annotated[bool | None, about("Whether it may be missing.", zero_matters=True)] = None
    secret_name: Annotated[str | None, about("Name of the Secret.")] = None


class PersistentVolumeClaimVolumeSource(Noun, frozen=True, kw_only=True):
    """A claim on storage that outlives the pod."""

    claim_name: Annotated[str, about("Name of the claim.")] = always("")
    read_only: Annotated[bool | None, about("Whether writing is impossible.")] = None


class Volume(Noun, frozen=True, kw_only=True):
    """Storage that containers of the pod may mount; it has one source."""

    name: Annotated[str, about("Name by which containers mount the volume.")] = always("")
    aws_elastic_block_store: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    azure_disk: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    azure_file: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    cephfs: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    cinder: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    config_map: Annotated[ConfigMapVolumeSource | None, about("Files made from a ConfigMap.")] = None
    csi: Annotated[dict[str, Any] | None, about("Storage of a CSI driver. Not mounted yet.")] = None
    downward_api: Annotated[dict[str, Any] | None, about("Files made from the pod's own fields. Not mounted yet.")] = (
        None
    )
    empty_dir: Annotated[EmptyDirVolumeSource | None, about("An empty folder of the pod's own.")] = None
    ephemeral: Annotated[dict[str, Any] | None, about("Storage claimed for this pod alone. Not mounted yet.")] = None
    fc: Annotated[dict[str, Any] | None, about("A Fibre Channel disk. Not mounted yet.")] = None
    flex_volume: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    flocker: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    gce_persistent_disk: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    git_repo: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    glusterfs: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    host_path: Annotated[HostPathVolumeSource | None, about("A path of the node.")] = None
    image: Annotated[dict[str, Any] | None, about("The content of an image. Not mounted yet.")] = None
    iscsi: Annotated[dict[str, Any] | None, about("An iSCSI disk. Not mounted yet.")] = None
    nfs: Annotated[dict[str, Any] | None, about("An NFS share. Not mounted yet.")] = None
    persistent_volume_claim: Annotated[
        PersistentVolumeClaimVolumeSource | None, about("Storage that outlives the pod.")
    ] = None
    photon_persistent_disk: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    portworx_volume: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    projected: Annotated[dict[str, Any] | None, about("Files from several sources. Not mounted yet.")] = None
    quobyte: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    rbd: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    scale_io: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    secret: Annotated[SecretVolumeSource | None, about("Files made from a Secret.")] = None
    storageos: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
    vsphere_volume: Annotated[dict[str, Any] | None, about("An old kind of storage. Not mounted.")] = None
