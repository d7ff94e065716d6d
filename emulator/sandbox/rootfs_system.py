"""What our image of the OS-only runtimes holds: shell, curl and small programs of this machine, as far as it has them.

The names are those of AWS's image that scripts are likely to use (coreutils, grep, sed, gawk, curl-minimal and bash of
Amazon Linux 2023's minimal set, aws-lambda-base-images, 2026); what this machine lacks is left out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Final

from emulator.errors import BackendError
from emulator.sandbox.rootfs import (
    BUNDLES,
    LD_CACHE,
    LOCALES,
    SYSTEM_LIBRARIES,
    ZONES,
    Member,
    Tree,
    loader_members,
    loader_of,
    merged,
    needed,
    other_ways,
    shared_data,
    skeleton,
    stamp,
)

# Part of the image's key: raise it when the same machine should give another image.
_RECIPE: Final = 1
_SHELLS: Final = ("bash", "sh")
_PROGRAMS: Final = """
[ awk base64 basename cat chmod comm cp curl cut date dd df dirname du echo env expr false fold gawk grep head id
join ln ls md5sum mkdir mkfifo mktemp mv nproc od paste printenv printf pwd readlink realpath rm rmdir sed seq
sha256sum sleep sort split stat tail tee test timeout touch tr true tty uname uniq wc whoami xargs yes
"""
_PATH: Final = "/usr/bin:/bin"


def key() -> str:
    """A digest of everything that decides what `gather` returns."""
    described = {"recipe": _RECIPE, "stats": [stamp(path) for path in watched()]}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def watched() -> list[Path]:
    """The files and folders, there or not, whose change is taken for a change of the whole."""
    programs = [Path("/usr/bin", name) for name in _names()]
    return [*programs, LD_CACHE, *(Path(path) for path in (ZONES, *LOCALES, *BUNDLES))]


def gather() -> Tree:
    """The whole image; `BackendError` where Linux and glibc are not at hand."""
    programs = {name: path for name in _names() if (path := _program(name)) is not None}
    shell = programs["sh"]
    loader = loader_of(shell)
    libraries = needed(loader, shell, preload=SYSTEM_LIBRARIES)
    if "libc.so.6" not in libraries:
        raise BackendError(f"{loader} does not tell what {shell} needs", hint=other_ways())
    for path in set(programs.values()):
        libraries = needed(loader, path) | libraries
    home = merged(libraries["libc.so.6"].parent)
    tree = skeleton(home)
    tree |= {f"{home}/{name}": Member(source=path, mode=0o755) for name, path in libraries.items()}
    tree |= loader_members(loader, home)
    tree |= {f"usr/bin/{name}": Member(source=path, mode=0o755) for name, path in programs.items()}
    if "bash" in programs:  # as on Amazon Linux: what calls itself a sh script may say what only bash knows
        tree["usr/bin/sh"] = Member(target="bash")
    return tree | shared_data("")


def _names() -> list[str]:
    return [*_SHELLS, *_PROGRAMS.split()]


def _program(name: str) -> Path | None:
    """The real file, in whichever of the usual places; None for what is not there, or a script."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        return None
    path = Path(found).resolve()
    with path.open("rb") as file:
        return path if file.read(4) == b"\x7fELF" else None
