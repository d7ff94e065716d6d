"""`preflight start-lambda`: the Invoke API for a template's functions, and their URLs, until somebody stops it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from emulator import console, template
from emulator.errors import ConfigurationError
from emulator.http_server import HttpServer, listen
from emulator.service import LambdaService, validate
from emulator.serving.event_queue import DestinationFolder, EventQueue, Kind
from emulator.serving.invoke_api import MOST_BODY, Catalogue, InvokeApi
from emulator.serving.url_servers import UrlServers
from emulator.template.tree import choices
from emulator.url_config import FunctionUrlConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from emulator.asynchronous import QueuedEvent
    from emulator.config import FunctionConfig
    from emulator.http1 import HttpResponse
    from emulator.invocation import InvocationResult
    from emulator.sandbox.base import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where to listen, and how Lambda's own limits and waits are to be here."""

    host: str
    port: int
    concurrency: int
    retry_scale: float
    reap_after_s: float
    destinations: Path | None
    urls: tuple[str, ...] = ()
    """Functions that get a URL though the template gives them none."""
    all_urls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How the server talks to the person who started it: `ready` gets the address, `note` a sentence.

    `url` gets a function's name and the address of its URL.
    """

    ready: Callable[[str], None]
    url: Callable[[str, str], None]
    note: Callable[[str], None]
    log: Callable[[str], None]
    fault: Callable[[Exception], None]


def catalogue(loaded: template.Template, variables: Path | None) -> Catalogue:
    """Settle and check every function; ConfigurationError where not one of them can be served."""
    functions: dict[str, FunctionConfig] = {}
    aliases: dict[str, str] = {}
    refused: dict[str, str] = {}
    urls: dict[str, FunctionUrlConfig] = {}
    without_url: dict[str, str] = {}
    first: ConfigurationError | None = None
    for logical_id in loaded.names:
        environment = template.load_environment_file(variables, loaded.aliases, logical_id) if variables else {}
        try:
            if not loaded.exists(logical_id):
                continue
            config = loaded.find(logical_id, environment=environment)
            validate(config)
        except ConfigurationError as error:
            refused[logical_id] = error.message
            first = first or error
            continue
        functions[config.name] = config
        aliases[logical_id] = config.name
        try:
            url = loaded.url(logical_id)
        except ConfigurationError as error:
            without_url[config.name] = error.message
        else:
            urls.update({} if url is None else {config.name: url})
    if not functions:
        raise first or ConfigurationError(f"{loaded.path}: there is no function", hint="It needs one to be of use.")
    return Catalogue(functions=functions, aliases=aliases, refused=refused, urls=urls, without_url=without_url)


def with_urls(found: Catalogue, settings: Settings) -> Catalogue:
    """The same with the URLs that were asked for; ConfigurationError for a function that is not there."""
    wanted = {*found.urls, *(found.functions if settings.all_urls else ())}
    for name in settings.urls:
        own = found.names.get(name)
        if own is None or own not in found.functions:
            raise ConfigurationError(f"--function-url: no function {name!r}", hint=choices(name, found.names))
        wanted.add(own)
    urls = {name: found.urls.get(name, FunctionUrlConfig()) for name in found.functions if name in wanted}
    return replace(found, urls=urls)


def notes(found: Catalogue, backend: Backend, settings: Settings) -> Iterator[str]:
    """What is not as the template has it, or not as on Lambda, in sentences."""
    for name, reason in found.refused.items():
        yield f"{name} cannot be served: {reason}"
    for name, reason in found.without_url.items():
        yield f"{name} has no URL: {reason}"
    for name, url in found.urls.items():
        if url.auth_type == "AWS_IAM":
            yield f"the URL of {name} has AuthType AWS_IAM, and takes every request: nobody checks signatures here"
    seen: set[str] = set()
    for config in found.functions.values():
        seen.update(console.notes(config, backend))
    yield from sorted(seen)
    targets = [config.asynchronous for config in found.functions.values()]
    if settings.destinations is None and any(to.on_success or to.on_failure or to.dead_letter for to in targets):
        yield "what goes to destinations and dead-letter queues is thrown away: --destinations FOLDER keeps it"


def serve(found: Catalogue, settings: Settings, open_backend: Callable[[], Backend], voice: Voice) -> None:
    """Listen, and answer until KeyboardInterrupt; nothing is left behind."""
    with ExitStack() as stack:
        listener = listen(settings.host, settings.port)
        stack.callback(listener.close)
        urls = UrlServers(settings.host, settings.port, found.urls)
        stack.callback(urls.close)
        deliver = _delivery(settings.destinations, voice)
        service = stack.enter_context(
            LambdaService(
                found.functions,
                open_backend(),
                on_log=voice.log,
                concurrency=settings.concurrency,
                reap_after_s=settings.reap_after_s,
            )
        )
        queue = EventQueue(found.functions, _invoker(service), deliver, voice.fault, scale=settings.retry_scale)
        addresses = {name: f"http://{_shown(settings.host)}:{port}/" for name, port in urls.ports.items()}
        api = InvokeApi(found, service, queue, addresses=addresses)

        def on_fault(error: Exception) -> HttpResponse:
            voice.fault(error)
            return api.fault(error)

        server = HttpServer(listener, api.handle, refuse=api.refuse, on_fault=on_fault, most_body=MOST_BODY)
        try:
            server.start()
            urls.start(service, voice.fault)
            with suppress(KeyboardInterrupt):  # how a server ends when all is well
                voice.ready(f"http://{_shown(settings.host)}:{server.port}")
                for name, address in addresses.items():
                    voice.url(name, address)
                _wait_for_a_signal()
        finally:
            queue.stop()
            server.refuse_more()
            urls.refuse_more()
            service.close()  # ends the invocations under way, so that nobody waits for them
            server.stop()
            urls.stop()
            lost = queue.close()
        if lost:
            voice.note(f"asynchronous events that were not finished, and are lost: {lost}")


def _wait_for_a_signal() -> NoReturn:
    """Wait until the handler of a signal raises.

    A lock would not do: a signal that comes just before the thread goes to sleep on it does not wake it.
    """
    woken, waker = socket.socketpair()
    with woken, waker:
        waker.settimeout(0)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            while True:
                woken.recv(1)
        finally:
            signal.set_wakeup_fd(-1)


def _invoker(service: LambdaService) -> Callable[[QueuedEvent], InvocationResult]:
    def invoke(event: QueuedEvent) -> InvocationResult:
        return service.invoke(
            event.function,
            event.payload,
            request_id=event.request_id,
            trace_id=event.trace_id,
            qualifier=event.qualifier,
        )

    return invoke


def _delivery(folder: Path | None, voice: Voice) -> Callable[[str, Kind, Mapping[str, object]], None]:
    if folder is None:
        return lambda _function, _kind, _document: None
    return DestinationFolder(folder, voice.note).write


def _shown(host: str) -> str:
    """As it stands in an address."""
    return f"[{host}]" if ":" in host else host
