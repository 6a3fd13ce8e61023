"""A disk that can lose its power: an ext4 file system in a file, mounted through a loop device.

Copying the file while the writer is frozen keeps exactly what the kernel was told to persist; everything that only sat
in the page cache of the mounted file system is gone, as after a power cut. kill -9 does not show that: the kernel still
writes a dead process's pages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

IMAGE_BYTES = 64 << 20
COMMAND_SECONDS = 30.0


class Disk:
    """A mounted image; `cut` replaces it by what survives a power cut at this moment."""

    def __init__(self, directory: Path) -> None:
        self.mount_point = directory / "mounted"
        self.mount_point.mkdir()
        self._image = directory / "disk.img"
        self._copy = directory / "crash.img"
        with self._image.open("wb") as image:
            image.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-qF", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(self.mount_point))

    def capture(self) -> None:
        """Copies the image; whoever writes to it must be frozen."""
        shutil.copyfile(self._image, self._copy)

    def swap(self) -> None:
        """Mounts the captured copy in place of the image; whoever used the image must be dead."""
        self.unmount()
        self._copy.replace(self._image)
        _run("mount", "-o", "loop", str(self._image), str(self.mount_point))

    def unmount(self) -> None:
        """Unmounts and frees the loop device; a lazy unmount where something still holds it."""
        if os.path.ismount(self.mount_point):
            try:
                _run("umount", str(self.mount_point))
            except subprocess.CalledProcessError:
                _run("umount", "--lazy", str(self.mount_point))


@contextmanager
def mounted_disk() -> Iterator[Disk]:
    """A fresh disk, unmounted and removed at the end whatever happened."""
    directory = Path(tempfile.mkdtemp(prefix="lakewarden-disk-"))
    disk = None
    try:
        disk = Disk(directory)
        yield disk
    finally:
        if disk is not None:
            disk.unmount()
        # Only once nothing is mounted inside: a removal must never reach into a live file system.
        if not os.path.ismount(directory / "mounted"):
            shutil.rmtree(directory)


@cache
def why_no_disk() -> str:
    """Why images cannot be mounted on this machine; empty when they can."""
    missing = [name for name in ("mkfs.ext4", "mount", "umount", "losetup") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found"
    if os.geteuid() != 0:
        return "mounting needs root"
    try:
        with mounted_disk():
            return ""
    except (OSError, subprocess.SubprocessError) as error:
        return f"no loop device could be mounted: {error}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_SECONDS)
