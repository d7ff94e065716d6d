"""A folder of Docker contexts, as `docker context create` writes it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def add_context(folder: Path, name: str, host: str, *, certificates: bool = False) -> None:
    """Write a context there, with the names of certificates where asked for."""
    own = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / own / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    if certificates:
        tls = folder / "contexts" / "tls" / own / "docker"
        tls.mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (tls / file).write_text("")


def use_context(folder: Path, name: str) -> None:
    """Write the configuration that has it in use."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {}, "currentContext": name}))
