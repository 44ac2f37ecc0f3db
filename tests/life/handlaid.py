"""Lays out what a hand-laid disk needs beside its root: images for the double of bootc, the boot partition, the first deployment.

    handlaid.py DOUBLE KERNEL DIR

Every deployment of a hand-laid disk runs from the same root, so an image here is a kernel, an initramfs and a name. The second
one works; the third's initramfs has a PID 1 that no kernel can run, so the kernel panics. DIR gets `images/NAME` (an OCI layout
each), `esp`, `sysroot`, and `versions` (a deployment's name and its image a line).
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

#: Root by its partition's number, which the disk's own layout gives it; what an initramfs would have done is `devtmpfs.mount`.
OPTIONS = (
    "root=PARTUUID=a105a105-0000-4000-8000-000000000002 rootfstype=ext4 rw devtmpfs.mount=1 "
    "init=/usr/lib/aios/bin/aios-init console=ttyS0 panic=1 quiet"
)
#: newc, as the kernel unpacks it: cpio(5).
HEADER = "070701"
BAD = b"no kernel runs this\n"


def member(name: str, data: bytes, mode: int, inode: int) -> bytes:
    """A file of a cpio archive."""
    fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = (HEADER + "".join(f"{field:08x}" for field in fields)).encode() + name.encode() + b"\0"
    head += b"\0" * (-len(head) % 4)
    return head + data + b"\0" * (-len(data) % 4)


def initramfs(name: str, *, init: bytes | None) -> bytes:
    """An archive that only tells one image from another, and one whose PID 1 cannot run."""
    files = member(f"aios-{name}", name.encode(), 0o100644, 1)
    if init is not None:
        files += member("init", init, 0o100755, 2)
    return files + member("TRAILER!!!", b"", 0, 0)


def blob(layout: Path, data: bytes) -> dict[str, object]:
    """Stores a blob; its descriptor without a type."""
    digest = hashlib.sha256(data).hexdigest()
    place = layout / "blobs/sha256" / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def image(layout: Path, name: str, kernel: bytes, *, init: bytes | None) -> str:
    """Writes an image; answers the name of its deployment."""
    files = {
        "usr/lib/os-release": f'ID=aios\nPRETTY_NAME="aiOS {name}"\nVERSION_ID={name}\n'.encode(),
        "usr/lib/modules/1/vmlinuz": kernel,
        "usr/lib/modules/1/initramfs.img": initramfs(name, init=init),
    }
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    data = layer.getvalue()
    diff = f"sha256:{hashlib.sha256(data).hexdigest()}"
    kind = "application/vnd.oci.image"
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", **blob(layout, json.dumps(config).encode())},
        "layers": [{"mediaType": f"{kind}.layer.v1.tar", **blob(layout, data)}],
    }
    entry = {"mediaType": manifest["mediaType"], **blob(layout, json.dumps(manifest).encode())}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return hashlib.sha512(diff.encode()).hexdigest()


def main() -> None:
    """Writes everything."""
    double, kernel, out = sys.argv[1], Path(sys.argv[2]).read_bytes(), Path(sys.argv[3])
    bad = {"bad": BAD}
    versions = {name: image(out / "images" / name, name, kernel, init=bad.get(name)) for name in ("1", "2", "bad")}
    (out / "versions").write_text("".join(f"{id} {name}\n" for name, id in versions.items()))
    (out / "esp").mkdir(exist_ok=True)
    # It names the images as the machine will: they lie on its root.
    subprocess.run(
        [sys.executable, double, "--double-root", str(out), "double", "install", "--transport", "oci", str(out / "images/1")],
        check=True,
    )
    for entry in (out / "esp/loader/entries").iterdir():
        lines = [f"options {OPTIONS} composefs={versions['1']}" if line.startswith("options ") else line for line in entry.read_text().splitlines()]
        entry.write_text("\n".join(lines) + "\n")
    origin = out / "sysroot/state/deploy" / versions["1"] / f"{versions['1']}.origin"
    origin.write_text(origin.read_text().replace(str(out / "images/1"), "/var/images/current"))
    (out / "esp/loader/loader.conf").write_text("timeout 0\n")


if __name__ == "__main__":
    main()
