"""The system calls that a container may not make: about what Docker's own profile refuses to one without capabilities.

Docker's profile is a list of what is allowed, some 350 calls with conditions, and runc compiles it at every start:
13 to 15 ms of 65 (Docker 20.10, 2026-11). Said the other way round it is a list of seventy. The difference is
that calls which neither list knows are possible here, and `personality`. Lambda's own list is not published.
"""

from __future__ import annotations

import json
from typing import Final

# Docker's documentation, "Seccomp security profiles for Docker", and moby profiles/seccomp/default_linux.go, 2026-07.
_REFUSED: Final = """
_sysctl acct add_key bpf chroot clock_adjtime clock_adjtime64 clock_settime clock_settime64 create_module
delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module
io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie
mbind migrate_pages mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree
perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace query_module quotactl
quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday
stime swapoff swapon sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
"""
# <linux/sched.h>: one flag for each kind of namespace.
_NAMESPACES: Final = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
_AF_VSOCK: Final = 40  # reaches the host of a virtual machine
_ENOSYS: Final = 38  # glibc then takes clone, whose flags can be looked at


def profile() -> str:
    """As the engine takes it: `seccomp=` and this text."""
    rules: list[dict[str, object]] = [{"names": _REFUSED.split(), "action": "SCMP_ACT_ERRNO"}]
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    rules += [
        {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": [_argument(flag, flag, "SCMP_CMP_MASKED_EQ")]}
        for flag in _NAMESPACES
    ]
    rules.append({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [_argument(_AF_VSOCK, 0, "SCMP_CMP_EQ")]})
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})


def _argument(value: int, second: int, how: str) -> dict[str, object]:
    return {"index": 0, "value": value, "valueTwo": second, "op": how}
