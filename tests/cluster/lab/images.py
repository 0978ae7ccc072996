"""Images made offline from busybox, and how they get into a registry.

An image here is one layer, its configuration and its manifest in OCI form, built in memory: the same input gives the
same digests. ``python -m tests.cluster.lab.images REGISTRY`` builds all and pushes them over plain HTTP; it needs
only the standard library, so that it runs inside any host. Sources: OCI image specification 1.0, distribution 1.0.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import sys
import tarfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BUSYBOX = Path("/bin/busybox")
_APPLETS = """
[ awk base64 basename cat chmod chown cp cut date dd df dirname du echo egrep env expr false find grep gunzip gzip head
hostname httpd id ip kill ln ls md5sum mkdir mknod mktemp mount mv nc netstat nproc nslookup od pidof ping printf ps pwd
readlink realpath rm rmdir route sed seq sh sha256sum sleep sort stat stty sync tail tar tee test time timeout top touch
tr true tty udhcpc umount uname uniq unlink uptime usleep vi watch wc wget which whoami xargs yes
"""
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

_WHO = """\
#!/bin/sh
echo "Content-Type: text/plain"
echo
echo "$(hostname) $REMOTE_ADDR"
"""


@dataclass(frozen=True)
class Image:
    """``blobs``: digest -> content of the layer and the configuration; ``manifest``: JSON."""

    name: str
    tag: str
    blobs: Mapping[str, bytes]
    manifest: bytes

    @property
    def digest(self) -> str:
        return _digest(self.manifest)


def busybox() -> Image:
    """``busybox:1``: a shell and small tools; runs ``sh`` unless told otherwise."""
    return build("busybox", "1", _busybox_files(), cmd=["sh"])


def web() -> Image:
    """``web:1``: an HTTP server on port 8080. ``/cgi-bin/who`` prints its host name and the caller's address,
    ``/healthz`` says ok, ``/`` names the image. ``web:2`` differs only there, for rolling updates."""
    return _web("1")


def web2() -> Image:
    return _web("2")


def build(
    name: str,
    tag: str,
    files: Mapping[str, tuple[bytes, int]],
    *,
    links: Mapping[str, str] | None = None,
    cmd: Sequence[str] = (),
    env: Sequence[str] = ("PATH=/bin",),
) -> Image:
    """``files``: path -> (content, mode). ``links``: path -> target; the default are busybox's applets."""
    layer_tar = _tar(files, _applet_links() if links is None else links)
    layer = gzip.compress(layer_tar, compresslevel=1, mtime=0)
    config = _json(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Env": list(env), "Cmd": list(cmd), "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer_tar)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
        }
    )
    return Image(name, tag, {_digest(layer): layer, _digest(config): config}, manifest)


def push(image: Image, registry: str) -> None:
    """``registry``: host:port. Raises urllib's errors if it refuses."""
    base = f"http://{registry}/v2/{image.name}"
    for digest, blob in image.blobs.items():
        with _request("POST", f"{base}/blobs/uploads/") as answer:
            place = answer.headers["Location"]
        joint = "&" if "?" in place else "?"
        with _request("PUT", f"{place}{joint}digest={digest}", blob, "application/octet-stream"):
            pass
    with _request("PUT", f"{base}/manifests/{image.tag}", image.manifest, _MANIFEST):
        pass


def _web(tag: str) -> Image:
    page = f"web:{tag}\n".encode()
    files = {
        **_busybox_files(),
        "www/index.html": (page, 0o644),
        "www/healthz": (b"ok\n", 0o644),
        "www/cgi-bin/who": (_WHO.encode(), 0o755),
    }
    return build("web", tag, files, cmd=["httpd", "-f", "-p", "8080", "-h", "/www"])


def _busybox_files() -> dict[str, tuple[bytes, int]]:
    return {
        "bin/busybox": (_BUSYBOX.read_bytes(), 0o755),
        "etc/passwd": (b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
        "etc/group": (b"root:x:0:\nnogroup:x:65534:\n", 0o644),
        "tmp/.keep": (b"", 0o644),
        "root/.keep": (b"", 0o644),
    }


def _applet_links() -> dict[str, str]:
    return {f"bin/{applet}": "busybox" for applet in _APPLETS.split()}


def _tar(files: Mapping[str, tuple[bytes, int]], links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in sorted({str(p) for path in [*files, *links] for p in Path(path).parents if str(p) != "."}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        for path, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
        for path, target in sorted(links.items()):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            archive.addfile(entry)
    return buffer.getvalue()


def _request(method: str, url: str, body: bytes = b"", media_type: str = "") -> Any:
    headers = {"Content-Type": media_type} if media_type else {}
    return urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers, method=method), timeout=20)


def _descriptor(media_type: str, content: bytes) -> dict[str, str | int]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def main(registry: str) -> None:
    for image in (busybox(), web(), web2()):
        push(image, registry)
        print(f"{registry}/{image.name}:{image.tag}")


if __name__ == "__main__":
    main(sys.argv[1])
