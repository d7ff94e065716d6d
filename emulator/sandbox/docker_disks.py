"""Disks for `/tmp` where the emulator is not root: a privileged helper container binds the files to loop devices."""

from __future__ import annotations

import json
import socket
import struct
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import BackendError
from emulator.sandbox import loop_device, storage
from emulator.sandbox.docker_container import LABEL, OWNER_LABEL, attach, folder_prefix, remove
from emulator.sandbox.docker_engine import Engine, engine_errors
from emulator.sandbox.owner import owner

if TYPE_CHECKING:
    from emulator.sandbox.image_find import BaseImage

_FOLDER: Final = "/run/preflight-disks"
_ANSWER_TIMEOUT_S: Final = 20


class DiskKeeper:
    """The helper container: it holds the devices' descriptors and ends, freeing them, when its input does."""

    def __init__(self, engine: Engine, base: BaseImage) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix=folder_prefix())
        self._stream: socket.socket | None = None
        self._container: str | None = None
        try:
            with engine_errors("the helper container for disks could not be started"):
                self._start(base)
        except BaseException:
            self.close()
            raise

    def disk(self, size_mb: int) -> KeptDisk:
        """A disk of that much free space; BackendError where the engine does not allow it."""
        with storage.new_image(size_mb, Path(self._folder.name)) as image:
            return KeptDisk(self, self.order({"attach": f"{_FOLDER}/{image.name}"}))

    def order(self, what: dict[str, str]) -> str:
        """Ask the container; the device it names. BackendError where it cannot or does not answer."""
        with self._lock:
            if self._stream is None:
                raise BackendError("the helper container for disks is gone")
            try:
                self._stream.sendall(json.dumps(what).encode() + b"\n")
                answer: dict[str, Any] = json.loads(self._line(self._stream))
            except (OSError, ValueError) as error:
                raise BackendError(f"the helper container for disks does not answer: {error}") from error
        if "error" in answer:
            raise BackendError(f"a disk could not be made: {answer['error']}")
        return str(answer["device"])

    def close(self) -> None:
        """Remove the container; devices that a sandbox still mounts go with the sandbox."""
        self._folder.cleanup()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        container, self._container = self._container, None
        if container is not None:
            with engine_errors("the helper container for disks could not be removed"):
                remove(self._engine.calls, container)

    def _start(self, base: BaseImage) -> None:
        engine = self._engine
        config = {
            "Image": base.id,
            "Entrypoint": [f"/var/lang/bin/python{base.python}", "-I", "-c", Path(loop_device.__file__).read_text()],
            "Cmd": [],
            "Labels": {LABEL: "disks", OWNER_LABEL: owner()},
            "OpenStdin": True,
            "StdinOnce": True,  # it ends with whoever is attached, and takes the devices along
            "User": "0:0",
            "HostConfig": {
                "AutoRemove": True,
                "LogConfig": {"Type": "none", "Config": {}},
                "Mounts": [
                    {"Type": "bind", "Target": _FOLDER, "Source": self._folder.name},
                    # The nodes of loop devices that are made later appear there.
                    {"Type": "bind", "Target": "/dev", "Source": "/dev"},
                ],
                "NetworkMode": "none",
                # What loop devices take of "privileged": the ioctl's capability and the two kinds of device.
                "CapAdd": ["SYS_ADMIN", "MKNOD"],
                "DeviceCgroupRules": ["b 7:* rwm", "c 10:237 rwm"],
            },
        }
        self._container = str(engine.calls.call("POST", "/containers/create", body=config)["Id"])
        self._stream = attach(engine.client.api, self._container)
        self._stream.settimeout(_ANSWER_TIMEOUT_S)
        engine.calls.call("POST", f"/containers/{self._container}/start")

    def _line(self, stream: socket.socket) -> bytes:
        """One line of the container's standard output, out of the engine's frames."""
        line = b""
        while not line.endswith(b"\n"):
            kind, size = struct.unpack(">BxxxI", _exactly(stream, 8))
            piece = _exactly(stream, size)
            line += piece if kind == 1 else b""
        return line


class KeptDisk:
    """A disk whose device the helper container holds."""

    def __init__(self, keeper: DiskKeeper, device: str) -> None:
        self._keeper = keeper
        self.device = device
        self._closed = False

    def close(self) -> None:
        """Have the container let it go; may be called more than once."""
        if not self._closed:
            self._closed = True
            self._keeper.order({"detach": self.device})


def _exactly(stream: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = stream.recv(count - len(parts))
        if not part:
            raise OSError("its output ended")
        parts += part
    return parts
