"""Extensions API 2020-01-01: the conversation with the extensions of one life, apart from the server that carries it.

"Using the Lambda Extensions API", AWS Lambda Developer Guide, 2023-05; statuses, error types and texts as AWS's runtime
interface emulator of 2026-01 has them, compared with its source on 2026-11-25. What is wrong with a
body that is no JSON, Go says there and Python here; 404 for other paths is from memory.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from emulator import telemetry
from emulator.lifecycle import Event, Heard
from emulator.runtime_api import ACCEPTED, Answer, Reply, problem
from emulator.sandbox.base import Exit
from emulator.variables import ACCOUNT

if TYPE_CHECKING:
    from emulator.http1 import HttpRequest
    from emulator.invocation import Invocation
    from emulator.telemetry import Subscription

MOST: Final = 10
""""Lambda quotas": extensions of both kinds, AWS Lambda Developer Guide, 2026-10."""
IDENTIFIER: Final = "lambda-extension-identifier"
_PREFIX: Final = "/2020-01-01/extension/"
_ERROR_TYPE: Final = "lambda-extension-function-error-type"
_EVENTS: Final = ("INVOKE", "SHUTDOWN")

Stage = Literal["Started", "Registered", "Ready", "Running", "InitError", "ExitError", "LaunchError", "Exited"]
_LIVING: Final = frozenset({"Started", "Registered", "Ready", "Running"})


@dataclass(slots=True, kw_only=True)
class Extension:
    """One extension as it stands; `stage` has the platform's own words, as EXTENSION lines show them."""

    name: str
    external: bool
    identifier: str
    stage: Stage = "Started"
    events: tuple[str, ...] = ()
    error_type: str | None = None
    shutting_down: bytes | None = None
    """The SHUTDOWN event that it has not asked for yet."""
    waiting: Answer | None = None


class ExtensionsApi:
    """The extensions of one life; all of it on the thread that serves it.

    `external` are the files of `/opt/extensions`; who registers by another name lives in the runtime's process.
    """

    def __init__(
        self,
        on_heard: Callable[[Heard | Exit], None],
        *,
        function_name: str,
        handler: str,
        external: Iterable[str] = (),
        on_subscribe: Callable[[str, Subscription], None] = lambda *_: None,
    ) -> None:
        self._on_subscribe = on_subscribe
        self._on_heard = on_heard
        self.on_hang_up: Callable[[], None] = lambda: None
        self.dispatched_at = 0.0
        self.at = 0.0
        """`time.perf_counter()` of the last registration or request for an event."""
        self._function: Final = {"functionName": function_name, "functionVersion": "$LATEST", "handler": handler}
        self.all = [Extension(name=name, external=True, identifier=str(uuid.uuid4())) for name in external]

    @property
    def registered(self) -> bool:
        """Whether every external extension has registered, so that the runtime may start."""
        return all(extension.stage != "Started" for extension in self.all)

    @property
    def ready(self) -> bool:
        """Whether everyone waits for an event."""
        return all(extension.stage not in {"Started", "Registered", "Running"} for extension in self.all)

    @property
    def invoked(self) -> bool:
        """Whether anybody wants to know of invocations."""
        return any("INVOKE" in extension.events for extension in self.all)

    def living(self, *, external: bool) -> int:
        """How many there are that have not failed or ended."""
        return sum(extension.external is external and extension.stage in _LIVING for extension in self.all)

    @property
    def departing(self) -> bool:
        """Whether somebody who was told, or will be told, of the end still runs."""
        return any("SHUTDOWN" in extension.events and extension.stage in _LIVING for extension in self.all)

    def find(self, identifier: str | None) -> Extension | None:
        """The one that this header names."""
        return next((one for one in self.all if one.identifier == identifier and one.stage != "Started"), None)

    def dispatch(self, invocation: Invocation) -> None:
        """INVOKE to everyone who registered for it."""
        self.dispatched_at = time.perf_counter()
        event = {
            "eventType": "INVOKE",
            "deadlineMs": invocation.deadline_ms,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.function_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id},
        }
        for extension in self.all:
            if "INVOKE" in extension.events and extension.stage == "Ready":
                _send(extension, _text(event))

    def shut_down(self, reason: str, deadline_ms: int) -> None:
        """SHUTDOWN to everyone who registered for it, now or when they ask for the next event."""
        event = _text({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline_ms})
        for extension in self.all:
            if "SHUTDOWN" in extension.events and extension.stage in _LIVING:
                if extension.waiting is not None:
                    _send(extension, event)
                else:
                    extension.shutting_down = event

    def ended(self, name: str, error_type: str | None, said: str | None = None) -> None:
        """The process of an external extension is gone, or could not be had, as is `said`."""
        for number, extension in enumerate(self.all, start=1):
            if extension.external and extension.name == name and extension.stage in _LIVING:
                extension.waiting = None
                extension.stage = "Exited"
                if error_type == "Extension.LaunchError":
                    extension.stage, extension.error_type = "LaunchError", _launch_error(said or "")
                    del self.all[number:]  # Lambda stops at the first that it cannot start

    def hang_up(self) -> None:
        """Give up everyone who waits."""
        for extension in self.all:
            extension.waiting = None
        self.on_hang_up()

    def handle(self, request: HttpRequest, answer: Answer, at: float, *, initialising: bool) -> None:
        """Answer one request; `/event/next` is answered when there is an event."""
        path = request.target.partition("?")[0]
        if path.rstrip("/") in {telemetry.PATH, telemetry.LOGS_PATH} and request.method == "PUT":
            answer(self._subscribe(request, path.rstrip("/"), initialising=initialising))
            return
        what = (request.method, path.removeprefix(_PREFIX))
        if what == ("POST", "register"):
            answer(self._register(request, at, initialising=initialising))
            return
        if what not in {("GET", "event/next"), ("POST", "init/error"), ("POST", "exit/error")}:
            answer(problem(404, "NotFound", f"{request.method} {path} is not part of the Extensions API 2020-01-01"))
            return
        found = self.identify(request)
        if isinstance(found, Reply):
            answer(found)
        elif what == ("GET", "event/next"):
            self._next(found, answer, at)
        else:
            answer(self._failed(found, request, "InitError" if what[1] == "init/error" else "ExitError"))

    def identify(self, request: HttpRequest) -> Extension | Reply:
        """Who asks; the refusal where that is nobody."""
        identifier = request.headers.get(IDENTIFIER)
        if not identifier:
            return problem(403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
        try:
            uuid.UUID(identifier)
        except ValueError:
            return problem(403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
        found = self.find(identifier)
        return found or problem(403, "Extension.UnknownExtensionIdentifier", f"Unknown extension {identifier}")

    def _subscribe(self, request: HttpRequest, path: str, *, initialising: bool) -> Reply:
        found = self.identify(request)
        if isinstance(found, Reply):
            return found
        if path == telemetry.LOGS_PATH:  # superseded by the Telemetry API in 2022; answered as AWS's own emulator does
            return problem(202, "Logs.NotSupported", "Logs API is not supported")
        if not initialising:
            return problem(403, "Telemetry.SubscriptionClosed", "Telemetry API subscription is closed")
        try:
            wanted = telemetry.subscription(request.body or b"")
            self._on_subscribe(found.name, wanted)
        except telemetry.Unacceptable as error:
            return problem(400, "ValidationError", str(error))
        return Reply(status=200, body=b'"OK"')

    def _register(self, request: HttpRequest, at: float, *, initialising: bool) -> Reply:
        name = _utf8(request.headers.get("lambda-extension-name", ""))
        if not name:
            return problem(403, "Extension.InvalidExtensionName", "Empty extension name")
        try:
            events = _events(request.body)
        except ValueError as error:
            return problem(403, "InvalidRequestFormat", str(error))
        found = self._admit(name, events, initialising=initialising)
        if isinstance(found, Reply):
            return found
        found.stage, found.events = "Registered", events
        self._hear(at)
        accepted = request.headers.get("lambda-extension-accept-feature", "").split(",")
        account = {"accountId": ACCOUNT} if "accountId" in {feature.strip() for feature in accepted} else {}
        headers = {"Lambda-Extension-Identifier": found.identifier}
        return Reply(status=200, body=_text({**self._function, **account}), headers=headers)

    def _admit(self, name: str, events: tuple[str, ...], *, initialising: bool) -> Extension | Reply:
        """The external extension of this name, or a new internal one."""
        known = next((extension for extension in self.all if extension.name == name), None)
        external = known is not None and known.external
        for event in events:
            if (why := _why_not(event, external=external)) is not None:
                return problem(403, "Extension.InvalidEventType", f"{event}: {why}")
        if known is not None and external:
            return known if known.stage == "Started" else _not_allowed(known, "Registered", known.name)
        if not initialising:
            return problem(403, "Extension.RegistrationClosed", "Extension registration closed already")
        if known is not None:
            return problem(403, "Extension.InvalidExtensionState", "Extension with this name already registered")
        if len(self.all) >= MOST:
            return problem(403, "Extension.TooManyExtensions", f"Extension limit ({MOST}) reached")
        self.all.append(Extension(name=name, external=False, identifier=str(uuid.uuid4())))
        return self.all[-1]

    def _next(self, extension: Extension, answer: Answer, at: float) -> None:
        if extension.stage not in _LIVING:
            answer(_not_allowed(extension, "Ready", extension.identifier))
            return
        extension.stage, extension.waiting = "Ready", answer
        event, extension.shutting_down = extension.shutting_down, None
        if event is not None:
            _send(extension, event)
        self._hear(at)

    def _hear(self, at: float) -> None:
        self.at = at
        self._on_heard(Heard(event=Event.EXTENSION, at=at))

    def _failed(self, extension: Extension, request: HttpRequest, stage: Literal["InitError", "ExitError"]) -> Reply:
        error_type = request.headers.get(_ERROR_TYPE)
        if not error_type:
            header = "Lambda-Extension-Function-Error-Type"
            return problem(403, "Extension.MissingHeader", f"{header} not found")
        allowed = {"Registered"} if stage == "InitError" else _LIVING
        if extension.stage not in allowed:
            return _not_allowed(extension, stage, extension.identifier)
        extension.stage, extension.error_type = stage, error_type
        self._on_heard(Exit(extension=extension.name, error_type=f"Extension.{stage}", said=error_type))
        return ACCEPTED


def _send(extension: Extension, event: bytes) -> None:
    extension.stage = "Running"
    waiting, extension.waiting = extension.waiting, None
    if waiting is not None:
        waiting(Reply(status=200, body=event, headers={"Lambda-Extension-Event-Identifier": str(uuid.uuid4())}))


def _utf8(text: str) -> str:
    """The name of a file, which the header has as bytes; as it stands where they are no UTF-8."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _events(body: bytes | None) -> tuple[str, ...]:
    told: Any = json.loads(body or b"")
    if isinstance(told, dict) and told.get("configurationKeys"):
        raise ValueError("configurationKeys are deprecated; use environment variables instead")
    events = told.get("events") or [] if isinstance(told, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
        raise ValueError('the body must be {"events": ["INVOKE", "SHUTDOWN"]}')
    return tuple(dict.fromkeys(events))


def _why_not(event: str, *, external: bool) -> str | None:
    if event not in _EVENTS:
        return "ErrorInvalidEventType"
    return "ShutdownEventNotSupportedForInternalExtension" if event == "SHUTDOWN" and not external else None


def _not_allowed(extension: Extension, wanted: str, name: str) -> Reply:
    message = (
        f"State transition from {extension.stage} to {wanted} failed for extension {name}. "
        "Error: State transition is not allowed"
    )
    return problem(403, "Extension.InvalidExtensionState", message)


def _launch_error(said: str) -> str:
    """As an EXTENSION line of AWS's had it (aws-lambda-extensions issue 38, 2021); others as in AWS's own emulator."""
    if said == "ErrTooManyExtensions":
        return "TooManyExtensions"
    return "PermissionDenied" if said.endswith("permission denied") else "UnknownError"


def _text(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
