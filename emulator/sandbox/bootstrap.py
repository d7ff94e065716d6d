"""What `/var/runtime/bootstrap.py` does on Lambda, run by the function's Python: search paths, then AWS's client.

After the file of that name in AWS's images of python3.10 and 3.11 (read 2026-11): a function that sets PYTHONPATH gets
that and its own code; any other also its layers, and PYTHONPATH in its environment only afterwards. Arguments are the
folders that are `/opt`, the one that wins first, where a function sees this machine's files.
"""

import os
import site
import sys

import awslambdaric.__main__ as client


def main() -> None:
    """Start AWS's client on $_HANDLER; it returns when the environment ends."""
    code = os.environ["LAMBDA_TASK_ROOT"]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layers, sys.argv = sys.argv[1:] or ["/opt"], sys.argv[:1]
    folders = [code]
    if "PYTHONPATH" not in os.environ:
        folders += [f"{layer}/python/lib/{version}/site-packages" for layer in layers]
        folders += [f"{layer}/python" for layer in layers]
    own = f"{sys.prefix}/lib/{version}/site-packages"  # before /var/runtime since python3.11
    sys.path[:0] = folders if len(folders) == 1 or sys.version_info < (3, 11) else [*folders, own]
    for folder in folders:  # for the .pth files that lie there
        site.addsitedir(folder)
    os.environ.setdefault("PYTHONPATH", os.environ["LAMBDA_RUNTIME_DIR"])
    client.main([code, os.environ["_HANDLER"]])


if __name__ == "__main__":
    main()
