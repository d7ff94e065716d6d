"""Functions in images of their own: their entry point, their files, our limits.

The image holds Python, AWS's runtime client and the fixtures' code, and neither a shell nor any other program: what
waits in front of its entry point cannot be its own.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import BackendError, ConfigurationError
from emulator.evidence import Evidence
from emulator.limits import MIB
from emulator.measure import weighed
from emulator.metrics import measure_all
from emulator.sandbox import interpreters, rootfs
from emulator.sandbox.rootfs import Member
from tests.conformance.conftest import EXTENSIONS, IMAGE, ROOT, RUNTIME, Lab
from tests.conformance.log_lines import assert_figures, assert_log, end, init_report, report, start
from tests.conformance.test_outcomes import assert_platform_error
from tests.conformance.test_sandbox import LAMBDA_VARIABLES, NO_RIGHTS

if TYPE_CHECKING:
    import docker

CODE = ROOT / "fixtures" / "functions" / "code"
SETTINGS = {
    "PYTHONPATH": "/var/runtime",
    "LD_LIBRARY_PATH": "/var/lang/lib",
    "LAMBDA_TASK_ROOT": "/app",
    "GREETING": "image",
    "HOME": "/home/image",
}


@pytest.fixture(scope="session")
def _image(lab: Lab) -> Iterator[None]:
    """The image, on the engine of the backend; nothing for a backend without one."""
    if lab.backend.name != "docker":
        yield
        return
    from emulator.sandbox import docker_engine

    engine = docker_engine.connect()
    try:
        build(engine.client)
        extend(engine.client, "extended", 0o755)
        extend(engine.client, "denied", 0o644)
        yield
        for name in lab.functions:  # an image that a container uses would stay behind without a name
            if name.startswith("Image"):
                lab.service.retire(name)
        for image in (f"{IMAGE}-extended", f"{IMAGE}-denied", IMAGE):
            remove(engine.client, image)
    finally:
        engine.close()


def remove(client: docker.DockerClient, image: str) -> None:
    """Remove an image, once the engine is done with the containers that were closed before."""
    from docker.errors import APIError

    for left in range(50, -1, -1):
        try:
            client.api.remove_image(image)
        except APIError as error:
            if not left or error.status_code != 409:
                raise
            time.sleep(0.1)
        else:
            return


def build(client: docker.DockerClient) -> None:
    """One layer and the settings that a Dockerfile would give, USER among them, which Lambda takes no notice of."""
    interpreter = interpreters.find(RUNTIME)
    tree = rootfs.gather(interpreter, interpreters.runtime_client(interpreter))
    del tree["usr/bin/sh"]
    tree |= {f"app/{path.name}": Member(source=path) for path in CODE.glob("*.py")}
    changes = [f"ENV {name}={value}" for name, value in SETTINGS.items()]
    changes += ["USER 1234", "WORKDIR /app", 'CMD ["probe.handler"]']
    changes.append(f'ENTRYPOINT ["/var/lang/bin/{RUNTIME}", "-m", "awslambdaric"]')
    repository, _, tag = IMAGE.partition(":")
    with tempfile.TemporaryFile() as archive:
        rootfs.write_tar(tree, archive)
        archive.seek(0)
        client.api.import_image_from_data(archive, repository=repository, tag=tag, changes=changes)


def extend(client: docker.DockerClient, name: str, mode: int) -> None:
    """The same with an external extension, whose first line names the image's Python: there is no shell."""
    script = f"#!/var/lang/bin/{RUNTIME}\n".encode() + (EXTENSIONS / "recorder").read_bytes().split(b"\n", 2)[2]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        folder = tarfile.TarInfo("opt/extensions")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        file = tarfile.TarInfo("opt/extensions/recorder")
        file.mode, file.size = mode, len(script)
        archive.addfile(file, io.BytesIO(script))
    container = client.api.create_container(IMAGE)["Id"]
    client.api.put_archive(container, "/", packed.getvalue())
    repository, _, tag = IMAGE.partition(":")
    client.api.commit(container, repository=repository, tag=f"{tag}-{name}")
    client.api.remove_container(container)


@pytest.fixture(scope="session")
def images(lab: Lab, _image: None) -> Lab:
    """A backend that runs images, and the image."""
    if lab.backend.name != "docker":
        pytest.skip("known difference of the process backend: an image needs an engine")
    return lab


@pytest.fixture(scope="session")
def looked(images: Lab) -> dict[str, Any]:
    """One look from inside, shared by the tests."""
    found: dict[str, Any] = images.payload("Image")
    return found


def test_refused_without_an_engine(lab: Lab) -> None:
    """A process has this machine's files, and not the image's: one sentence says so and what to do."""
    if lab.backend.name == "docker":
        pytest.skip("it has an engine")
    with pytest.raises(BackendError, match="PackageType: Image, which a process cannot run") as caught:
        lab.invoke("Image")
    assert caught.value.hint == "use --backend docker"


def test_image_serves_events(images: Lab) -> None:
    """Cold and warm, with the lines and figures of any other function."""
    first, second = images.cold("ImageCommand", {"a": 1}), images.invoke("ImageCommand", {"a": 2})
    config = images.functions["ImageCommand"]
    assert_log(first, start(first), end(first), report(first, config, cold=True))
    assert_log(second, start(second), end(second), report(second, config))
    assert (first.payload, second.payload) == ({"a": 1}, {"a": 2})
    assert_figures(first, config)


def test_user_is_lambdas(looked: dict[str, Any]) -> None:
    """Whatever USER says ("Create a Lambda function using a container image", guide, 2026-07)."""
    assert (looked["uid"], looked["gid"]) == (993, 990)
    assert looked["status"] == {"NoNewPrivs": "1", "CapBnd": NO_RIGHTS, "CapEff": NO_RIGHTS}


def test_limits_are_lambdas(looked: dict[str, Any]) -> None:
    """Read-only but for /tmp, no shared memory, no network, 1,024 files (the same page; quotas, 2026-10)."""
    assert looked["write_root"]["errno"] == looked["write_code"]["errno"] == 30
    assert looked["write_tmp"] == {"value": "/tmp/preflight-probe"}
    assert looked["dev_shm"] is False
    assert looked["nofile"] == [1024, 1024]
    assert "error" in looked["outside"]


def test_system_calls_are_lambdas(images: Lab) -> None:
    """The same filter as for packages; and the image has no shell that a child could be."""
    result = images.invoke("Image", {"what": ["calls"]})
    assert result.error is None
    calls = result.payload["calls"]
    assert calls.pop("child") == 127
    assert calls.pop("vsock")["errno"] == 1
    assert set(calls.values()) == {1}


def test_memory_is_lambdas(images: Lab) -> None:
    """The kernel kills what takes more, in the words of real logs of 2026-07."""
    result = images.cold("ImageOutOfMemory")
    assert_platform_error(result, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed")


def test_folder_and_code_are_the_images(looked: dict[str, Any]) -> None:
    """WORKDIR, and nothing mounted in /var/task or /opt."""
    assert looked["cwd"] == "/app"
    assert looked["path"][0] == "/app"
    assert {path: looked["modes"][path] for path in ("/var/task", "/opt")} == {
        "/var/task": "0o40755",
        "/opt": "0o40755",
    }


def test_variables_of_images(looked: dict[str, Any]) -> None:
    """The image's own, and those of Lambda that name no path; AWS_Lambda_Image from user agents of 2025-03."""
    variables = looked["environment"]
    assert {name: variables[name] for name in SETTINGS} == SETTINGS
    assert variables["AWS_EXECUTION_ENV"] == "AWS_Lambda_Image"
    runtimes = {"LAMBDA_RUNTIME_DIR", "LANG", "LC_CTYPE", "PATH", "PWD", "SHLVL", "TZ", "_HANDLER"}
    extra = set(variables) - LAMBDA_VARIABLES - set(SETTINGS)
    assert extra == set()
    assert set(variables) >= LAMBDA_VARIABLES - runtimes


def test_the_functions_variables_win(images: Lab) -> None:
    """Over the image's, HOME too."""
    variables = images.payload("ImageHome")["environment"]
    assert (variables["HOME"], variables["GREETING"]) == ("/tmp", "template")


def test_image_config(images: Lab) -> None:
    """EntryPoint, Command and WorkingDirectory, each alone (ImageConfig, API model of botocore 1.43.11, 2026)."""
    assert images.payload("ImageFolder")["cwd"] == "/var"
    assert images.payload("ImageEntryPoint")["cwd"] == "/app"  # Command is the image's


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ImageAbsent", "fork/exec /not/there: no such file or directory"),
        ("ImageDenied", "fork/exec /app/probe.py: permission denied"),
        ("ImageByName", 'exec: "nothing-of-that-name": executable file not found in $PATH'),
    ],
)
def test_entry_point_that_cannot_be_started(images: Lab, name: str, reason: str) -> None:
    """As reported against AWS from 2021 to 2023 (aws-lambda-ruby-runtime-interface-client#13, silverton-io/buz#489)."""
    result = images.cold(name)
    config = images.functions[name]
    type_ = "Runtime.InvalidEntrypoint"
    both = init_report("init", "error", type_), init_report("invoke", "error", type_)
    assert_log(result, *both, start(result), end(result), report(result, config, status="error", error_type=type_))
    assert_platform_error(result, type_, reason)


def test_entry_point_that_ends_as_a_shell_would_say_it(images: Lab) -> None:
    """126 is a program's own affair, and no sign that it could not be started."""
    result = images.cold("ImageExits")
    assert_platform_error(result, "Runtime.ExitError", "Runtime exited with error: exit status 126")
    assert re.findall("leaving", result.log) == ["leaving", "leaving"]


def test_image_that_is_not_there(images: Lab) -> None:
    """Nothing is pulled: the message says how to have it."""
    with pytest.raises(ConfigurationError, match="does not exist on the engine") as caught:
        images.invoke("ImageMissing")
    assert "docker pull preflight-fixtures/no-such-image" in (caught.value.hint or "")


def test_extensions_are_the_images(images: Lab) -> None:
    """What lies in its /opt/extensions starts before its entry point ("Using the Lambda Extensions API", 2023-05)."""
    first, second = images.cold("ImageExtended"), images.invoke("ImageExtended")
    assert (first.error, second.error) == (None, None), first.log
    assert "EXTENSION\tName: recorder\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n" in first.log
    for result in (first, second):
        events = [
            json.loads(line.partition(" ")[2]) for line in result.log.splitlines() if line.startswith("recorder ")
        ]
        assert [event["event"]["requestId"] for event in events if "event" in event] == [result.request_id]


def test_an_extension_of_an_image_that_cannot_be_started(images: Lab) -> None:
    """The entry point tells what nobody could look at beforehand."""
    result = images.cold("ImageExtendedDenied")
    assert_platform_error(result, "Extension.LaunchError", "fork/exec /opt/extensions/recorder: permission denied")
    assert "EXTENSION\tName: recorder\tState: LaunchError\tEvents: []\tError Type: PermissionDenied\n" in result.log


def test_images_are_weighed_before_they_are_measured(images: Lab) -> None:
    """As the engine has them: a figure that a gate on `package.unzipped_mb` judges."""
    config = images.functions["ImageCommand"]
    weight = weighed(config)
    assert weight.unzipped_bytes == weight.code_bytes > MIB
    assert weight.parts[0].kind == "image"
    found = {one.name: one for one in measure_all(Evidence(config=config, page_cache="warm", weight=weight))}
    assert found["package.unzipped_mb"].value == weight.unzipped_bytes / MIB
    assert found["package.zipped_mb"].note == "an image is not zipped"
