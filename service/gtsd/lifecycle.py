"""From start to end: open, listen, ready, drain, close. Read it from top to bottom."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final, NamedTuple

from loguru import logger
from tornado.netutil import bind_sockets

from gtsd.accounts.directory import CachedAccounts
from gtsd.accounts.passwords import Argon2Passwords
from gtsd.app import make_app
from gtsd.clock import Clock
from gtsd.deps import Deps, Life
from gtsd.jobs.catalogue import CATALOGUE
from gtsd.jobs.queue import JobQueue
from gtsd.mails.seal import Seal
from gtsd.mails.transport import transport_of
from gtsd.nudges.twilio import Twilio
from gtsd.settings import Settings
from gtsd.stores.cache import Cache
from gtsd.stores.limits import Limits
from gtsd.stores.postgres import Postgres
from gtsd.stores.redis import Redis
from gtsd.stores.s3 import ObjectStore
from gtsd.systemd import Supervisor
from gtsd.telemetry import collector, log
from gtsd.telemetry.loop import watch_loop
from gtsd.telemetry.memory import MemoryWatch
from gtsd.telemetry.metrics import Metrics
from gtsd.web.server import Api
from gtsd.web.tokens import AccessTokens

_BACKLOG: Final = 1024
_STOP: Final = (signal.SIGTERM, signal.SIGINT)
# From now on somebody stands in at our port: when we leave, no proxy has to see it first.
_STOOD_IN: Final = signal.SIGUSR1
# Longer than a proxy keeps an idle connection to us (nginx: keepalive_timeout 2s in our role), so
# that it is the proxy who closes it.
_IDLE_S: Final = 6.0

Ready = Callable[[list[tuple[str, int]]], Awaitable[None]]


class StartError(Exception):
    """Something that the settings name cannot be used; the text says which one and why."""


async def serve(
    settings: Settings, supervisor: Supervisor | None = None, ready: Ready | None = None
) -> int:
    """Answer requests until SIGTERM or SIGINT; gives the exit status.

    ``ready`` is called with the addresses once requests are answered.
    """

    async def answer(process: Process) -> None:
        await _answer_until(process, make_app(process.deps), ready)

    return await run(settings, supervisor or Supervisor(), answer)


class Stop(asyncio.Event):
    """Set when the process is to end; ``stood_in`` if others answer at its port already."""

    stood_in = False

    def stand_in(self) -> None:
        """Told by the signal for it."""
        self.stood_in = True


class Process(NamedTuple):
    """What a process has while it lives; it is to end once ``stop`` is set."""

    deps: Deps
    sockets: list[socket.socket]
    supervisor: Supervisor
    stop: Stop


async def run(
    settings: Settings, supervisor: Supervisor, work: Callable[[Process], Awaitable[None]]
) -> int:
    """Open everything, work, close everything; gives the exit status."""
    logs = log.configure(settings)
    traces = collector.configure(settings)
    stop = _stop_signals()
    memory = MemoryWatch()
    memory.listen()
    try:
        sockets = _listeners(settings, supervisor)
        async with AsyncExitStack() as stack:
            deps = await open_all(settings, stack)
            _spare_collections()
            if not stop.is_set():
                await work(Process(deps, sockets, supervisor, stop))
        logger.info("stopped")
        return 0
    except StartError as error:
        logger.error(str(error))
        return 1
    finally:
        memory.close()
        await asyncio.to_thread(traces.shutdown)
        logs.close()


async def open_all(settings: Settings, stack: AsyncExitStack, clock: Clock | None = None) -> Deps:
    """Open every store; the stack closes them in reverse. No server has to be up yet.

    Raises StartError.
    """
    clock = clock or Clock()
    metrics = Metrics(settings.app_version, settings.git_sha)
    watch = asyncio.create_task(watch_loop(metrics))
    stack.callback(watch.cancel)
    with _naming("DATABASE_URL"):
        postgres = await Postgres.open(settings, metrics)
    stack.push_async_callback(postgres.close)
    with _naming("REDIS_URL"):
        redis = await Redis.open(settings, metrics)
    stack.push_async_callback(redis.close)
    with _naming("S3_ENDPOINT"):
        objects = await ObjectStore.open(settings, metrics)
    stack.push_async_callback(objects.close)
    with _naming("SMTP_URL"):
        mails = transport_of(settings)
    if mails is None:
        logger.warning("mails are off: SMTP_URL is not given")
    passwords = Argon2Passwords(settings.password_hash_concurrency)
    stack.callback(passwords.close)
    cache = Cache(redis, metrics)
    return Deps(
        settings=settings,
        clock=clock,
        metrics=metrics,
        postgres=postgres,
        redis=redis,
        cache=cache,
        limits=Limits(redis, metrics, clock, settings.jwt_secret.encode()),
        objects=objects,
        tokens=AccessTokens(clock, settings.jwt_secret, settings.jwt_secret_previous),
        accounts=CachedAccounts(postgres, cache),
        passwords=passwords,
        jobs=JobQueue(CATALOGUE),
        seal=Seal(settings.jwt_secret, settings.jwt_secret_previous),
        mails=mails,
        sms=_sms(settings, stack),
        life=Life(clock.monotonic()),
    )


def _spare_collections() -> None:
    """What is there by now stays, and a request makes no cycles: look for them less often."""
    gc.collect()
    gc.freeze()
    # The next whole one waits for a quarter of what this one leaves, which is next to nothing.
    gc.collect()
    gc.set_threshold(20_000, 2, 2)


def _sms(settings: Settings, stack: AsyncExitStack) -> Twilio | None:
    if settings.twilio_account_sid is None:
        return None
    twilio = Twilio(settings)
    stack.callback(twilio.close)
    return twilio


@contextmanager
def _naming(variable: str) -> Iterator[None]:
    """Say which setting it was that made a store refuse to be opened."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise StartError(f"Cannot use {variable}: {error}.") from error


async def _answer_until(process: Process, api: Api, ready: Ready | None) -> None:
    with answering(process, api):
        if ready is not None:
            await ready([sock.getsockname()[:2] for sock in process.sockets])
        await process.stop.wait()
        await drain(api, process)


@contextmanager
def answering(process: Process, api: Api) -> Iterator[None]:
    """Serve, say that we are ready, and feed the watchdog while the enclosed runs."""
    api.serve(process.sockets)
    process.deps.life.ready = True
    watchdog = asyncio.create_task(_feed_watchdog(process.supervisor))
    names = [sock.getsockname() for sock in process.sockets]
    logger.bind(addresses=[_shown(name) for name in names]).info("ready")
    notify(process.supervisor, "READY=1")
    try:
        yield
    finally:
        watchdog.cancel()


async def drain(api: Api, process: Process) -> None:
    """Leave without anybody noticing.

    Readiness turns red, but everything is still accepted until the proxies have seen that, unless
    somebody stands in; each answer from here on closes its connection. Then the listeners close,
    and what is in work gets until the deadline to finish.
    """
    settings, deps = api.deps.settings, api.deps
    notify(process.supervisor, "STOPPING=1")
    deps.metrics.draining.set(1)
    api.start_draining()
    logger.info("draining")
    if not process.stop.stood_in:
        await asyncio.sleep(settings.drain_delay)
    api.stop_accepting()
    abandoned = await api.finish(settings.drain_timeout, _IDLE_S)
    if abandoned:
        logger.bind(abandoned=abandoned).warning("the drain's deadline ended requests in work")


def _stop_signals() -> Stop:
    """Set by the first SIGTERM or SIGINT; a second one ends the process at once."""
    stop = Stop()
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        for number in _STOP:
            loop.remove_signal_handler(number)
            # Python's own handler of SIGINT would raise KeyboardInterrupt anywhere in the loop.
            signal.signal(number, signal.SIG_DFL)

    for number in _STOP:
        loop.add_signal_handler(number, first)
    loop.add_signal_handler(_STOOD_IN, stop.stand_in)
    return stop


def _listeners(settings: Settings, supervisor: Supervisor) -> list[socket.socket]:
    given = supervisor.listen_sockets()
    if given:
        return given
    try:
        return bind_sockets(settings.port, settings.host, backlog=_BACKLOG)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise StartError(f"Cannot listen on {where}: {error.strerror}. Set PORT.") from None


def _shown(name: str | tuple[str, int]) -> str:
    """A socket's own address, as people write it; a path where it is a unix socket."""
    return name if isinstance(name, str) else f"{name[0]}:{name[1]}"


def notify(supervisor: Supervisor, state: str) -> None:
    """A service manager that does not listen must not keep us from serving, nor from draining."""
    try:
        supervisor.notify(state)
    except OSError as error:
        logger.warning("the service manager did not take {}: {}", state, error.strerror or error)


async def _feed_watchdog(supervisor: Supervisor) -> None:
    """Runs on the event loop on purpose: when that hangs, systemd should restart us."""
    interval = supervisor.watchdog_interval()
    while interval is not None:
        notify(supervisor, "WATCHDOG=1")
        await asyncio.sleep(interval)
