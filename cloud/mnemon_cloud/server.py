"""The server: its services behind the gate, TLS, health, metrics, and an end that lets answers finish."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from mnemon_cloud import logs
from mnemon_cloud.answers.engines import Engine
from mnemon_cloud.answers.kept import KeptAnswers
from mnemon_cloud.answers.quotas import Quotas
from mnemon_cloud.answers.sealing_keys import SealingKeys
from mnemon_cloud.answers.service import AnswersService
from mnemon_cloud.devices.authentication import Authenticator, wall_clock_ms
from mnemon_cloud.devices.service import DevicesService
from mnemon_cloud.errors import ListenError, StorageError
from mnemon_cloud.identity import Identity, host_of
from mnemon_cloud.interceptors import POLICIES, REFLECTION, Gate
from mnemon_cloud.metrics import Metrics
from mnemon_cloud.settings import Settings
from mnemon_cloud.storage import Storage
from mnemon_protos.v1 import answers_pb2, answers_pb2_grpc, devices_pb2, devices_pb2_grpc

SERVICES = (
    answers_pb2.DESCRIPTOR.services_by_name["Answers"].full_name,
    devices_pb2.DESCRIPTOR.services_by_name["Devices"].full_name,
)
_HEALTH_SECONDS = 1.0
_SWEEP_BEATS = 60
_MOST_CALLS = 4096
"""Calls at a time, waiting ones and health watchers included; gRPC refuses more with RESOURCE_EXHAUSTED."""


@dataclass(slots=True)
class Server:
    """A running server. Make one with :func:`start`.

    Attributes:
        port: Where it listens.
        answers: The service behind ``Ask``.
        metrics: Its numbers.
    """

    port: int
    answers: AnswersService
    metrics: Metrics
    _grpc: Any
    _health: Any
    _watch: asyncio.Task[None]
    _metrics_server: Any

    async def stop(self, grace: float) -> None:
        """Take no new calls, let running ones end for ``grace`` seconds, then cut them off."""
        logs.event("draining", grace_seconds=grace, running=self.answers.admission.running)
        await self._health.enter_graceful_shutdown()
        await self._grpc.stop(grace)
        await self.answers.ended()
        self._watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watch
        if self._metrics_server is not None:
            http, thread = self._metrics_server
            await asyncio.to_thread(http.shutdown)
            http.server_close()
            thread.join()
        logs.event("stopped")


async def start(
    settings: Settings,
    identity: Identity,
    storage: Storage,
    engine: Engine,
    *,
    insecure_without_tls: bool = False,
    shared_port: bool = False,
) -> Server:
    """Start to listen. The caller closes engine and storage, after :meth:`Server.stop`.

    Args:
        shared_port: Other processes listen there too, and the kernel deals out the connections. Else a second server
            on the port is a mistake, and is told so.

    Raises:
        ListenError: An address cannot be listened on.
    """
    metrics = Metrics()
    policies = {**POLICIES, **REFLECTION} if settings.server.reflection else POLICIES
    server = grpc.aio.server(
        interceptors=(Gate(Authenticator(storage, identity.public_key), metrics, policies),),
        options=(
            ("grpc.max_receive_message_length", settings.server.max_message_bytes),
            ("grpc.max_metadata_size", 16_384),
            # Devices look every minute whether a quiet line still stands, as when their question waits in the queue;
            # by default gRPC takes that for an attack and cuts them off.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
            ("grpc.so_reuseport", int(shared_port)),
            ("grpc.max_connection_age_ms", 1_800_000),  # so that connections spread over new processes
            ("grpc.max_connection_age_grace_ms", round(settings.server.max_call_seconds * 1000)),
        ),
        maximum_concurrent_rpcs=_MOST_CALLS,
    )
    quotas = Quotas(storage, settings.limits.tokens_per_day)
    kept = KeptAnswers(storage, settings)
    answers = AnswersService(engine, settings, quotas, SealingKeys(identity.key), kept, metrics, identity.tenant)
    answers_pb2_grpc.add_AnswersServicer_to_server(answers, server)
    devices_pb2_grpc.add_DevicesServicer_to_server(DevicesService(storage, identity.public_key, quotas), server)
    health_service = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    if settings.server.reflection:
        from grpc_reflection.v1alpha import reflection

        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    host_of(settings.server.listen)
    try:
        if insecure_without_tls:
            port = server.add_insecure_port(settings.server.listen)
        else:
            credentials = grpc.ssl_server_credentials([(identity.tls_key, identity.tls_chain)])
            port = server.add_secure_port(settings.server.listen, credentials)
    except RuntimeError as error:
        raise ListenError(
            f"{settings.server.listen} cannot be listened on.", hint="Is another server running? Set server.listen."
        ) from error
    metrics_server = _serve_metrics(settings.server.metrics, metrics)
    await _tell_health(health_service, metrics, storage, engine)
    await server.start()
    watch = asyncio.create_task(_watch(health_service, metrics, storage, engine))
    logs.event("serving", address=settings.server.listen, model=engine.model)
    return Server(port, answers, metrics, server, health_service, watch, metrics_server)


async def run_until_told(server: Server, drain_seconds: float) -> None:
    """Wait for SIGTERM or SIGINT, then stop; a second signal ends what is left at once."""
    told = asyncio.Event()
    again = asyncio.Event()

    def heard() -> None:
        (again if told.is_set() else told).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    try:
        await told.wait()
        stopping = asyncio.create_task(server.stop(drain_seconds))
        hurry = asyncio.create_task(again.wait())
        await asyncio.wait([stopping, hurry], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await server._grpc.stop(0)  # what drains is cut off
        hurry.cancel()
        await stopping
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _serve_metrics(address: str, metrics: Metrics) -> Any:
    if not address:
        return None
    from prometheus_client import start_http_server

    host = host_of(address)
    try:
        return start_http_server(int(address.rpartition(":")[2]), addr=host, registry=metrics.registry)
    except OSError as error:
        raise ListenError(
            f"{address} cannot be listened on: {error.strerror}.", hint='Set server.metrics, or to "" for none.'
        ) from error


async def _watch(service: Any, metrics: Metrics, storage: Storage, engine: Engine) -> None:
    """Tell health every second, and delete every minute what is over."""
    for beat in itertools.count():
        if beat % _SWEEP_BEATS == 0:
            with contextlib.suppress(StorageError):  # health tells it
                await storage.sweep(now_ms=wall_clock_ms())
        await asyncio.sleep(_HEALTH_SECONDS)
        await _tell_health(service, metrics, storage, engine)


async def _tell_health(service: Any, metrics: Metrics, storage: Storage, engine: Engine) -> None:
    """Say what is true now: devices need the storage, answers the engine too."""
    status = health_pb2.HealthCheckResponse
    try:
        async with asyncio.timeout(5):
            await storage.check()
        stored = True
    except (StorageError, TimeoutError):
        stored = False
    serving = stored and engine.healthy()
    metrics.serving.set(serving)
    shown = {"": serving, SERVICES[0]: serving, SERVICES[1]: stored}
    for name, well in shown.items():
        await service.set(name, status.SERVING if well else status.NOT_SERVING)
