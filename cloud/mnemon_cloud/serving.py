"""One serving process, from its keys to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mnemon_cloud.home import Home
from mnemon_cloud.settings import EngineSettings, Settings

if TYPE_CHECKING:
    from mnemon_cloud.answers.engines import Engine


async def serve(
    home: Home,
    settings: Settings,
    *,
    insecure_without_tls: bool = False,
    shared_port: bool = False,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until told to end.

    Args:
        shared_port: Other processes listen on the same port.
        ready: Called once calls are taken.

    Raises:
        CloudError: Something it needs is missing or damaged.
    """
    from mnemon_cloud import identity, logs, server
    from mnemon_cloud.storage import open_storage

    logs.start()
    no_core_dumps()
    keys = identity.load(home)
    storage = await open_storage(settings.storage, home.database)
    try:
        engine = await start_engine(settings.engine)
        try:
            running = await server.start(
                settings,
                keys,
                storage,
                engine,
                insecure_without_tls=insecure_without_tls,
                shared_port=shared_port,
            )
            ready()
            await server.run_until_told(running, settings.server.drain_seconds)
        finally:
            await engine.close()
    finally:
        await storage.close()


async def start_engine(settings: EngineSettings) -> Engine:
    """The engine that the settings name.

    Raises:
        EngineError: The model cannot be loaded.
        SettingsError: A setting of it cannot be used.
    """
    if settings.kind == "openai":
        from mnemon_cloud.answers.engines.openai import OpenAIEngine

        return await OpenAIEngine.start(settings)
    from mnemon_cloud.answers.engines.llama_cpp import LlamaCppEngine

    return await LlamaCppEngine.start(settings)


def no_core_dumps() -> None:
    """Questions are in this process's memory: a crash must not write them to disk."""
    try:
        import resource
    except ImportError:  # Windows writes none by default
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
