"""What our base image holds: the file tree of a CPython of this machine, laid out as Lambda lays out its own.

Everything is read where it lies; nothing is staged. Which shared libraries are needed is asked of the machine's own
dynamic loader, so that the answer is the one the interpreter gets when it runs here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import re
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from emulator.errors import BackendError
from emulator.sandbox import interpreters
from emulator.sandbox.interpreters import Interpreter
from emulator.sandbox.sdk import sdk_files, sdk_version

# Part of every Python image's key: raise it when the same machine should give another image.
_RECIPE = 2
# 2000-01-01: zip files, which functions like to write, cannot express years before 1980.
_MTIME = 946_684_800
_ETC = {
    "passwd": "root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n",
    "group": "root:x:0:\nsbx_user1051:x:990:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
LD_CACHE = Path("/etc/ld.so.cache")
ZONES = "/usr/share/zoneinfo"
LOCALES = ("/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8")
# What manylinux2014 lets a wheel expect from the system (PEP 599) and Lambda's own images have: no X11, GL or GLib.
SYSTEM_LIBRARIES = (
    "libstdc++.so.6 libgcc_s.so.1 libz.so.1 libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 "
    "libresolv.so.2 libnsl.so.1 libcrypt.so.1 libnss_files.so.2 libnss_dns.so.2 libmvec.so.1"
)
_SKIPPED_FOLDERS = re.compile(
    r"tests?|idlelib|idle_test|tkinter|turtledemo|ensurepip|(site|dist)-packages|__pycache__|lib-dynload|config-.*"
)
_SKIPPED_FILES = re.compile(r"(site|user)customize\.py|EXTERNALLY-MANAGED|.*\.(a|o|exe|pyc)")
_SKIPPED_EXTENSIONS = re.compile(r"(_tkinter|nis|_test\w*|_ctypes_test\w*|_xxtestfuzz|xxlimited\w*|xxsubtype)\..*")
_LOADER_LINE = re.compile(r"\t(?P<name>\S+) => (?P<path>.+?)(?: \(0x[0-9a-f]+\))?")
_STRIPPED_FROM = 1 << 16
_PT_INTERP = 3
_ELF_HEADER = 64
_ELF_SEGMENT = struct.Struct("<I4xQ16xQ16x")  # type, offset and length in the file; the rest is for the loader


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One path of the image: a file has `source` or `content`, a link `target`, a folder none of them."""

    source: Path | None = None
    content: bytes | None = None
    target: str | None = None
    mode: int = 0o644


# Paths are relative to the image's root and go through no link of the image itself.
Tree = dict[str, Member]
_FOLDER = Member(mode=0o755)


def key(interpreter: Interpreter) -> str:
    """A digest of everything that decides what `gather` returns, from a dozen stats: about 1 ms, so once per invoke."""
    described = {
        "recipe": _RECIPE,
        "version": interpreter.version,
        "stats": [stamp(path) for path in watched(interpreter)],
        "libraries": hashlib.sha256(LD_CACHE.read_bytes()).hexdigest() if LD_CACHE.is_file() else None,
        "client": interpreters.client_versions(),
        "sdk": sdk_version(),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def watched(interpreter: Interpreter) -> list[Path]:
    """The files and folders, there or not, whose change is taken for a change of the whole."""
    library = interpreter.prefix / "lib" / f"libpython{interpreter.python}.so.1.0"
    stdlib = interpreter.stdlib
    own = [interpreter.executable, library, stdlib, stdlib / "os.py", stdlib / "lib-dynload"]
    return own + [Path(path) for path in ("/bin/sh", ZONES, *LOCALES, *BUNDLES)]


def stamp(path: Path) -> tuple[str, int, int] | None:
    """Where a file is in truth, its size and time; None where there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return str(path.resolve()), seen.st_size, seen.st_mtime_ns


def gather(interpreter: Interpreter, client: Path) -> Tree:
    """The whole image, with `client` as `/var/runtime`; `BackendError` where Linux and glibc are not at hand."""
    loader = loader_of(interpreter.executable)
    extensions = _extensions(interpreter)
    shell = Path("/bin/sh").resolve()
    libraries = needed(loader, interpreter.executable, preload=SYSTEM_LIBRARIES)
    if "libc.so.6" not in libraries:
        raise BackendError(f"{loader} does not tell what {interpreter.executable} needs", hint=other_ways())
    for file in (shell, *client.rglob("*.so"), *extensions):
        libraries = needed(loader, file) | libraries  # what the interpreter itself loads goes first
    home = merged(libraries["libc.so.6"].parent)
    tree = skeleton(home)
    library = f"libpython{interpreter.python}.so.1.0"
    if library in libraries:
        tree[f"var/lang/lib/{library}"] = Member(target=f"/{home}/{library}")
    tree |= {f"{home}/{name}": Member(source=path, mode=0o755) for name, path in libraries.items()}
    tree |= loader_members(loader, home)
    tree["usr/bin/sh"] = Member(source=shell, mode=0o755)
    tree |= _python_members(interpreter, extensions)
    tree |= {f"var/runtime/{path.relative_to(client)}": Member(source=path) for path in _files(client)}
    tree |= shared_data(_openssl_cafile(interpreter))
    return tree


# ---- shared libraries ------------------------------------------------------------------------------------------------


def loader_of(executable: Path) -> Path:
    """The dynamic loader that an executable names; glibc's, because that is what Lambda's wheels are linked against."""
    content = executable.read_bytes()
    segments = _elf_segments(content)
    if segments is None:
        raise BackendError(f"{executable} is not a 64-bit Linux program", hint=other_ways())
    named = [content[at : at + length].rstrip(b"\0").decode() for kind, at, length in segments if kind == _PT_INTERP]
    if not named or "ld-linux" not in named[0]:
        found = named[0] if named else "no dynamic loader"
        message = f"{executable} does not run on glibc, as Lambda's Python does, but on {found}"
        raise BackendError(message, hint=other_ways())
    return Path(named[0])


def other_ways() -> str:
    """What to do where no image can be made."""
    return "let the engine have AWS's own image, or use --backend process"


def needed(loader: Path, file: Path, preload: str = "") -> dict[str, Path]:
    """Name to file of every library that `file` loads, as the loader itself finds them; `preload` names more.

    Nothing for a file of which something is missing here: a module of the standard library that would not load anyway.
    """
    environment = {"LD_PRELOAD": preload, "LC_ALL": "C"}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    listing = subprocess.run([loader, "--list", file], env=environment, capture_output=True, text=True, check=False)
    found = {line["name"]: line["path"] for line in map(_LOADER_LINE.fullmatch, listing.stdout.splitlines()) if line}
    if "not found" in found.values():
        return {}
    return {name: Path(path).resolve() for name, path in found.items() if "/" not in name}


def merged(folder: Path) -> str:
    """`/lib/x` and `/usr/lib/x` as `usr/lib/x`: in the image `/lib` is a link whatever it is on this machine."""
    parts = folder.parts[1:]
    return "/".join(parts if parts[0] == "usr" or not re.fullmatch(r"lib(64)?|s?bin", parts[0]) else ("usr", *parts))


def loader_members(loader: Path, home: str) -> Tree:
    """The loader among the libraries, and a link at the path that executables name, where that is elsewhere."""
    tree = {f"{home}/{loader.name}": Member(source=loader.resolve(), mode=0o755)}
    named = f"{merged(loader.parent)}/{loader.name}"
    if not named.startswith(("usr/lib64/", f"{home}/")):
        tree[named] = Member(target=f"/{home}/{loader.name}")
    return tree


# ---- the interpreter -------------------------------------------------------------------------------------------------


def _extensions(interpreter: Interpreter) -> list[Path]:
    folder = interpreter.stdlib / "lib-dynload"
    return [path for path in sorted(folder.glob("*.so")) if not _SKIPPED_EXTENSIONS.fullmatch(path.name)]


def _python_members(interpreter: Interpreter, extensions: Iterable[Path]) -> Tree:
    python = f"python{interpreter.python}"
    lib = f"var/lang/lib/{python}"
    tree = {
        f"var/lang/bin/{python}": Member(source=interpreter.executable, mode=0o755),
        "var/lang/bin/python3": Member(target=python),
        "var/lang/bin/python": Member(target=python),
        f"{lib}/site-packages": _FOLDER,
        f"{lib}/lib-dynload": _FOLDER,
    }
    tree |= {f"{lib}/lib-dynload/{path.name}": Member(source=path, mode=0o755) for path in extensions}
    tree |= {f"{lib}/{path.relative_to(interpreter.stdlib)}": Member(source=path) for path in _stdlib(interpreter)}
    site = interpreter.stdlib / "site.py"
    if site.is_file() and b"dist-packages" in site.read_bytes():
        # Debian's Python looks for what is installed under this name.
        tree[f"{lib}/dist-packages"] = Member(target="site-packages")
    tree |= {f"{lib}/site-packages/{name}": Member(source=path) for name, path in sdk_files()}
    return tree | _bytecode(interpreter, tree)


def _stdlib(interpreter: Interpreter) -> Iterator[Path]:
    for folder, folders, names in os.walk(interpreter.stdlib):
        folders[:] = [name for name in folders if not _SKIPPED_FOLDERS.fullmatch(name)]
        for name in names:
            path = Path(folder, name)
            if not _SKIPPED_FILES.fullmatch(name) and path.is_file():
                yield path


def _bytecode(interpreter: Interpreter, tree: Mapping[str, Member]) -> Tree:
    """A .pyc beside every .py, valid without a look at its source: the root is read-only, so none is made later.

    What the machine has compiled already is taken over; the rest is compiled by the interpreter itself.
    """
    tag = f"cpython-{interpreter.version[0]}{interpreter.version[1]}"
    made: Tree = {}
    left: dict[Path, str] = {}
    for path, member in tree.items():
        if member.source is None or not path.endswith(".py"):
            continue
        folder, _, name = path.rpartition("/")
        place = f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"
        cached = member.source.parent / "__pycache__" / place.rpartition("/")[2]
        content = unchecked(cached, member.source)
        if content is None:
            left[member.source] = place
        else:
            made[place] = Member(content=content)
    return made | _compile(interpreter, left, tag)


def unchecked(cached: Path, source: Path) -> bytes | None:
    """A compiled file, if it is up to date, with a header that tells Python not to compare it with its source.

    Header: magic, flags, then seconds and size of the source or its hash (PEP 552).
    """
    try:
        compiled, seen = cached.read_bytes(), source.stat()
    except OSError:
        return None
    if len(compiled) < 16:  # noqa: PLR2004 - the length of the header
        return None
    if struct.unpack_from("<III", compiled, 4) != (0, int(seen.st_mtime) & 0xFFFFFFFF, seen.st_size & 0xFFFFFFFF):
        return None
    return compiled[:4] + struct.pack("<I", 1) + importlib.util.source_hash(source.read_bytes()) + compiled[16:]


def _compile(interpreter: Interpreter, left: Mapping[Path, str], tag: str) -> Tree:
    if not left:
        return {}
    with tempfile.TemporaryDirectory(prefix="lambda-preflight-") as prefix:
        how = ["-I", "-S", "-X", f"pycache_prefix={prefix}", "-m", "compileall", "-qq", "-j", "0"]
        subprocess.run(
            [interpreter.executable, *how, "--invalidation-mode", "unchecked-hash", "-i", "-"],
            input="\n".join(map(str, left)),
            text=True,
            capture_output=True,
            check=False,  # a file that does not compile stays without, and says so when it is imported
        )
        made: Tree = {}
        for source, place in left.items():
            compiled = Path(prefix, *source.parts[1:]).with_name(f"{source.stem}.{tag}.pyc")
            if compiled.is_file():
                made[place] = Member(content=compiled.read_bytes())
        return made


# ---- everything else -------------------------------------------------------------------------------------------------


def skeleton(home: str) -> Tree:
    """Lambda's folders and users, and links where programs expect libraries, which lie in `home`."""
    tree = {f"etc/{name}": Member(content=text.encode()) for name, text in _ETC.items()}
    tree |= dict.fromkeys(("var/task", "var/runtime", "opt", "etc", "root"), _FOLDER)
    tree["tmp"] = Member(mode=0o1777)
    tree |= {name: Member(target=f"usr/{name}") for name in ("bin", "lib", "lib64")}
    if home != "usr/lib64":
        tree["usr/lib64"] = Member(target=f"/{home}")
    return tree


def shared_data(cafile: str) -> Tree:
    """Time zones, the C.UTF-8 locale and certificate authorities, as far as this machine has them.

    `cafile` is one more place for the latter.
    """
    tree: Tree = {}
    for name in (ZONES, *LOCALES):
        for path in _files(Path(name)):
            if not {"posix", "right"}.intersection(path.parts):
                tree[str(path)[1:]] = Member(source=path.resolve())
    if f"{ZONES}/UTC"[1:] in tree:
        tree["etc/localtime"] = Member(target=f"{ZONES}/UTC")
    bundle = next((Path(path) for path in BUNDLES if Path(path).is_file()), None)
    if bundle is not None:
        tree[BUNDLES[0][1:]] = Member(source=bundle.resolve())
        for place in {BUNDLES[1], cafile} - {BUNDLES[0], ""}:
            tree[f"{merged(Path(place).parent)}/{Path(place).name}"] = Member(target=BUNDLES[0])
    return tree


def _openssl_cafile(interpreter: Interpreter) -> str:
    """Where the OpenSSL of this interpreter looks for certificates; empty where it has none."""
    asking = "import _ssl; print(_ssl.get_default_verify_paths()[1])"
    command = [str(interpreter.executable), "-I", "-S", "-c", asking]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def write_tar(tree: Mapping[str, Member], file: IO[bytes]) -> None:
    """A tar archive whose bytes depend on the tree's content alone: sorted, owned by root, of one fixed time."""
    parents = {str(parent) for path in tree for parent in Path(path).parents} - {"."}
    members = dict.fromkeys(parents, _FOLDER) | dict(tree)
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(members):
            member = members[path]
            header = tarfile.TarInfo(path)
            header.mtime, header.mode = _MTIME, member.mode
            content = member.content
            if member.source is not None:
                content = without_symbols(member.source.read_bytes())
            if member.target is not None:
                header.type, header.linkname, header.mode = tarfile.SYMTYPE, member.target, 0o777
            elif content is None:
                header.type = tarfile.DIRTYPE
            else:
                header.size = len(content)
            archive.addfile(header, None if content is None else io.BytesIO(content))


def without_symbols(content: bytes) -> bytes:
    """A 64-bit ELF file cut after what the loader maps: without debug information.

    The section headers go too; nothing that runs a program reads them.
    """
    segments = _elf_segments(content)
    if segments is None:
        return content
    end = max(at + length for _, at, length in segments)
    if len(content) - end < _STRIPPED_FROM:
        return content
    cut = bytearray(content[:end])
    cut[0x28:0x30] = bytes(8)  # where the section headers are
    cut[0x3C:0x40] = bytes(4)  # how many there are, and which one names them
    return bytes(cut)


def _elf_segments(content: bytes) -> list[tuple[int, int, int]] | None:
    """Type, offset and length of each program header, the table of them included; None for what is no 64-bit ELF."""
    if len(content) < _ELF_HEADER or content[:6] != b"\x7fELF\x02\x01":
        return None
    (table,) = struct.unpack_from("<Q", content, 0x20)
    size, count = struct.unpack_from("<HH", content, 0x36)
    if not count or size < _ELF_SEGMENT.size or table + size * count > len(content):
        return None
    segments = [(0, table, size * count)]
    for start in range(table, table + size * count, size):
        kind, offset, length = _ELF_SEGMENT.unpack_from(content, start)
        segments.append((kind, offset, length))
    return segments
