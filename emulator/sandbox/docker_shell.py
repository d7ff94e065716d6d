"""A shell for containers of images that need not have one: this machine's own, with its loader and libraries.

The entry point has to wait for *go* in the container, since a container that the engine has only created has no network
namespace yet in which the Runtime API could be served, and starting it then would put the engine's 60 ms into Init
Duration. A program of our own would have to come as a binary for each architecture. This machine's /bin/sh is there, is
small, and runs anywhere when its own loader is named and told where the libraries are: the image's C library, if it has
one, is not asked, and neither LD_LIBRARY_PATH nor anything else reaches what the shell starts. Scripts of the image go
on finding the image's own shell, or none.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emulator.errors import BackendError
from emulator.sandbox import rootfs
from emulator.sandbox.docker_stdio import IMAGES_SHELL, Shell

if TYPE_CHECKING:
    from emulator.sandbox.docker_engine import Engine

_FOLDER: Final = "/run/preflight-shell"


def portable_shell(engine: Engine) -> Shell:
    """This machine's, where the engine is on it and runs its programs; the image's own /bin/sh otherwise."""
    if not engine.local or sys.platform != "linux":
        return IMAGES_SHELL
    program = Path("/bin/sh").resolve()
    try:
        loader = rootfs.loader_of(program)
    except BackendError:  # no glibc here: a static shell, or musl's
        return IMAGES_SHELL
    libraries = rootfs.needed(loader, program)
    if "libc.so.6" not in libraries:
        return IMAGES_SHELL
    files = {"ld.so": loader.resolve(), "sh": program, **libraries}
    return Shell(
        command=(f"{_FOLDER}/ld.so", "--library-path", _FOLDER, f"{_FOLDER}/sh"),
        mounts={f"{_FOLDER}/{name}": str(path) for name, path in files.items()},
    )
