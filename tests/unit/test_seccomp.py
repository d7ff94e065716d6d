"""The profile as the engine gets it; what it does is seen in the conformance suite."""

from __future__ import annotations

import json

from emulator.sandbox import seccomp


def test_profile() -> None:
    """JSON that allows what it does not name; every kind of namespace is refused, one rule each."""
    profile = json.loads(seccomp.profile())
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    assert {rule["action"] for rule in profile["syscalls"]} == {"SCMP_ACT_ERRNO"}
    flags = [rule["args"][0]["value"] for rule in profile["syscalls"] if rule["names"] == ["clone"]]
    assert sum(flags) == 0x7E020000  # the mask of Docker's own profile
    assert len(flags) == len(set(flags)) == 7


def test_names_are_named_once() -> None:
    """Sorted, so that a missing one is seen."""
    names = json.loads(seccomp.profile())["syscalls"][0]["names"]
    assert names == sorted(set(names))
    assert not {"clone", "clone3", "socket", "execve", "openat"} & set(names)
