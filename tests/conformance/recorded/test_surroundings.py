"""What a function sees of the place it runs in, fact by fact."""

from __future__ import annotations

import errno
import os
import re

import pytest

from tests.conformance.recorded.cloud import ARN, HERE, MIB, RUNTIME, Cloud
from tests.conformance.recorded.sources import (
    CLIENT,
    CPUS,
    ENTRY,
    PACKAGES,
    QUOTAS,
    RECORDED,
    RECORDED_VARIABLES,
    SCHEDULER,
    SHARED_MEMORY,
    VARIABLES,
    case,
    recorded,
)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        case(name, RECORDED_VARIABLES, name, pattern)
        for name, pattern in {
            "AWS_LAMBDA_FUNCTION_VERSION": r"\$LATEST",
            "AWS_LAMBDA_FUNCTION_NAME": "Look",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/Look",
            "AWS_LAMBDA_LOG_STREAM_NAME": r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}",
            "AWS_LAMBDA_RUNTIME_API": r"[0-9.]+:\d+",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{re.escape(RUNTIME)}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ".+",
            "AWS_SECRET_ACCESS_KEY": ".+",
            "AWS_SESSION_TOKEN": ".+",
            "_HANDLER": "look.handler",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "AWS_XRAY_DAEMON_ADDRESS": r"169\.254\.100\.1:2000",
            "_AWS_XRAY_DAEMON_ADDRESS": r"169\.254\.100\.1",
            "_AWS_XRAY_DAEMON_PORT": "2000",
            "TZ": ":UTC",
            "LANG": r"en_US\.UTF-8",
            "LC_CTYPE": r"C\.UTF-8",
            "SHLVL": "0",
        }.items()
    ],
)
def test_variable(aws: Cloud, name: str, pattern: str) -> None:
    """As in a dump of the real service."""
    value = aws.look(f"os.environ[{name!r}]")
    assert re.fullmatch(pattern, value), value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        case(name, RECORDED_VARIABLES, name, value)
        for name, value in {
            "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:"
            "/opt/lib",
            "PYTHONPATH": "/var/runtime",
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "PWD": "/var/task",
        }.items()
    ],
)
def test_variable_that_names_folders(aws: Cloud, name: str, value: str) -> None:
    """Lambda's own folders, where the function has a file system of its own."""
    aws.needs("read_only_root")
    assert aws.look(f"os.environ[{name!r}]") == value


@recorded(RECORDED_VARIABLES)
def test_home_is_absent(aws: Cloud) -> None:
    """As are others of this machine's."""
    assert aws.look("[name for name in ('HOME', 'HOSTNAME', 'USER', 'LOGNAME', 'TERM') if name in os.environ]") == []


@recorded(VARIABLES)
def test_variables_of_the_function(aws: Cloud) -> None:
    """They may replace those of Lambda's that are not reserved."""
    assert aws.look("[os.environ['COLOUR'], os.environ['LANG']]", "LookSet") == ["blue", "C"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        case("name", CLIENT, "context.function_name", "Look"),
        case("version", CLIENT, "context.function_version", "$LATEST"),
        case("ARN", CLIENT, "context.invoked_function_arn", f"{ARN}:Look"),
        case("memory as text", CLIENT, "context.memory_limit_in_mb", "1769"),
        case("log group", CLIENT, "context.log_group_name", "/aws/lambda/Look"),
        case(
            "log stream",
            CLIENT,
            "context.log_stream_name == os.environ['AWS_LAMBDA_LOG_STREAM_NAME']",
            True,  # noqa: FBT003 - a column of the table
        ),
        case("tenant", CLIENT, "getattr(context, 'tenant_id', None)", None),
    ],
)
def test_context(aws: Cloud, expression: str, expected: object) -> None:
    """What the runtime client tells the handler."""
    assert aws.look(expression) == expected


@recorded(RECORDED)
def test_working_directory(aws: Cloud) -> None:
    """The folder of the code."""
    assert aws.look("os.getcwd()") == aws.code(HERE)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        case("user", RECORDED, "[os.getuid(), os.getgid()]", [993, 990]),
        case("no other groups", RECORDED, "[group for group in os.getgroups() if group != 990]", []),
    ],
)
def test_user(aws: Cloud, expression: str, expected: object) -> None:
    """sbx_user1051, by its numbers."""
    aws.needs("user")
    assert aws.look(expression) == expected


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        case("/tmp", RECORDED, "/tmp", 0o777),
        case("/opt", RECORDED, "/opt", 0o755),
    ],
)
def test_folders(aws: Cloud, path: str, mode: int) -> None:
    """Root's, with their modes."""
    aws.needs("read_only_root", "tmp")
    found = aws.look(f"(lambda found: [found.st_mode & 0o777, found.st_uid, found.st_gid])(os.stat({path!r}))")
    assert found == [mode, 0, 0]


@pytest.mark.parametrize(
    "path",
    [
        case("root", RECORDED, "/"),
        case("code", RECORDED, "/var/task/"),
        case("layers", RECORDED, "/opt/"),
        case("runtime", RECORDED, "/var/runtime/"),
        case("another folder for temporary files", RECORDED, "/var/tmp/"),
    ],
)
def test_read_only(aws: Cloud, path: str) -> None:
    """Everything but /tmp."""
    aws.needs("read_only_root")
    action = f"Path({path!r}, 'x').touch()"
    found = aws.look(f"failure({action!r})")
    assert found in {f"OSError {errno.EROFS}", f"FileNotFoundError {errno.ENOENT}", f"PermissionError {errno.EACCES}"}
    assert path != "/" or found == f"OSError {errno.EROFS}"


@recorded(RECORDED)
def test_tmp_can_be_written(aws: Cloud) -> None:
    """By the function's user, with what it needs for programs."""
    aws.needs("tmp")
    made = (
        "[Path('/tmp/x').write_text('#!/bin/sh\\nexit 7\\n'), os.chmod('/tmp/x', 0o700), os.system('/tmp/x') >> 8][2]"
    )
    assert aws.look(made) == 7


@pytest.mark.parametrize(
    ("excess", "failure"),
    [
        case("512 MB", QUOTAS, 0, None),
        case("one megabyte more", QUOTAS, MIB, errno.ENOSPC),
    ],
)
def test_size_of_tmp(aws: Cloud, excess: int, failure: int | None) -> None:
    """A file of 512 MB fits to the byte; a little more than it may be the file system's own book-keeping."""
    aws.needs("tmp")
    aws.look("[path.unlink() for path in Path('/tmp').glob('*') if path.is_file()] and None")
    found = aws.look(f"fill('/tmp/full', {512 * MIB + excess})")
    assert found[0] == failure
    assert found[1] >= 512 * MIB + min(excess, 0)


@recorded(SHARED_MEMORY)
def test_no_shared_memory(aws: Cloud) -> None:
    """No locks between processes: ENOSYS, or ENOENT from a glibc of 2.34 on."""
    aws.needs("shared_memory")
    found = aws.look("failure('multiprocessing.Lock()')")
    assert found in {f"OSError {errno.ENOSYS}", f"FileNotFoundError {errno.ENOENT}"}


@recorded(SHARED_MEMORY)
def test_processes_and_pipes(aws: Cloud) -> None:
    """Work."""
    assert aws.look("through_a_pipe()") == "heard"


@pytest.mark.parametrize(
    ("name", "soft", "hard"),
    [
        case("NOFILE", RECORDED, "NOFILE", 1024, 1024),
        case("CORE", RECORDED, "CORE", 10_737_418_240, 10_737_418_240),
        case("MEMLOCK", RECORDED, "MEMLOCK", 65_536, 65_536),
        case("STACK", RECORDED, "STACK", 8_388_608, -1),
        case("AS", RECORDED, "AS", -1, -1),
        case("DATA", RECORDED, "DATA", -1, -1),
        case("FSIZE", RECORDED, "FSIZE", -1, -1),
        case("RSS", RECORDED, "RSS", -1, -1),
    ],
)
def test_resource_limit(aws: Cloud, name: str, soft: int, hard: int) -> None:
    """Soft and hard; memory has none."""
    if name != "NOFILE" and aws.backend == "process":
        pytest.skip(
            "known difference of the process backend, rlimits: it keeps this machine's, and writes no core file"
        )
    assert aws.look(f"resource.getrlimit(resource.RLIMIT_{name})", "Look128") == [soft, hard]


@recorded(QUOTAS)
def test_open_files(aws: Cloud) -> None:
    """1,024, of which the largest number is 1,023."""
    opened = aws.look("[held := list(iter(opened, None)), [os.close(one) for one in held], [len(held), max(held)]][2]")
    assert 990 < opened[0] < 1024
    assert opened[1] == 1023


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [case("742 at 128 MB", RECORDED, "Look128", 730, 742), case("1,024 elsewhere", QUOTAS, "Look512", 1000, 1024)],
)
def test_threads(aws: Cloud, name: str, least: int, most: int) -> None:
    """Processes and threads together, of which the runtime needs a few."""
    aws.needs("processes")
    assert least <= aws.look("threads(2000)", name) < most


@recorded(CPUS)
def test_visible_cpus(aws: Cloud) -> None:
    """Two up to 3,008 MB, however small the share."""
    aws.needs("read_only_root")
    assert aws.look("os.cpu_count()", "Look128") == min(2, os.cpu_count() or 1)


@recorded(SCHEDULER)
def test_share_of_a_cpu(aws: Cloud) -> None:
    """Memory over 1,769: 7.24 % at 128 MB; a busy machine may give less, and nobody more."""
    aws.needs("cpu")
    shares = [aws.look("busy(0.5)", "Look128") for _ in range(2)]
    assert all(share < 128 / 1769 + 0.02 for share in shares)
    assert max(shares) > 0.02


@recorded(PACKAGES)
def test_search_path(aws: Cloud) -> None:
    """Package, layers, runtime: in that order."""
    aws.needs("read_only_root")
    path = [entry.rstrip("/") for entry in aws.invoke("Hidden", {"modules": []}).payload["path"]]
    site = f"lib/{RUNTIME}/site-packages"
    assert path[:3] == ["/var/task", f"/opt/python/{site}", "/opt/python"]
    assert path.index("/opt/python") < path.index("/var/runtime")


@recorded(ENTRY)
def test_search_path_of_the_runtime(aws: Cloud) -> None:
    """The SDK's folder before the client's, since python3.11."""
    aws.needs("read_only_root")
    path = [entry.rstrip("/") for entry in aws.look("sys.path", "Look")]
    assert path.index(f"/var/lang/lib/{RUNTIME}/site-packages") < path.index("/var/runtime")


@recorded(PACKAGES)
def test_the_sdk_is_there(aws: Cloud) -> None:
    """Without being packaged."""
    assert aws.look("__import__('importlib.util').util.find_spec('boto3') is not None")


@pytest.mark.parametrize(
    ("name", "module", "value"),
    [
        case("the later layer wins", PACKAGES, "Merged", "both", "second"),
        case("whichever it is", PACKAGES, "Reversed", "both", "first"),
        case("all of the first", PACKAGES, "Merged", "only_first", "first"),
        case("all of the second", PACKAGES, "Merged", "only_second", "second"),
        case("site-packages too", PACKAGES, "Merged", "in_site", "second"),
    ],
)
def test_layers(aws: Cloud, name: str, module: str, value: str) -> None:
    """They are unpacked over each other."""
    answer = aws.invoke(name, {"modules": [module]})
    assert answer.payload["values"] == {module: value}


@recorded(PACKAGES)
def test_package_before_layer(aws: Cloud) -> None:
    """A module of the package hides a layer's: `loud` of the layer has a VALUE, the package's has none."""
    answer = aws.invoke("Hidden", {"modules": ["loud"]})
    assert answer.payload["errorMessage"] == "module 'loud' has no attribute 'VALUE'"


@recorded(PACKAGES)
def test_layers_lie_in_opt(aws: Cloud) -> None:
    """Everything of theirs, not only what Python looks for."""
    aws.needs("read_only_root")
    answer = aws.invoke("Merged", {"modules": [], "read": ["/opt/first.txt", "/opt/second.txt"]})
    assert answer.payload["data"] == ["data of first", "data of second"]


@recorded(PACKAGES)
def test_no_bytecode_is_kept(aws: Cloud) -> None:
    """The code's folder is read-only, so that each cold start compiles anew."""
    assert aws.look("list(Path(__file__).parent.rglob('*.pyc')) == []")


@recorded(CLIENT)
def test_python(aws: Cloud) -> None:
    """Of the version that Runtime names."""
    assert "python{}.{}".format(*aws.look("sys.version_info[:2]")) == RUNTIME
