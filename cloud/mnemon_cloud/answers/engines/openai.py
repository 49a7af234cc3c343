"""The engine behind an OpenAI-compatible server: vLLM, SGLang, llama-server, Ray Serve LLM.

One streamed chat completion an answer. Leaving an answer closes its connection, which is how these servers learn to
stop. What fails before the first word is tried again, for another replica may do it; nothing is after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mnemon_cloud import logs
from mnemon_cloud.answers.engines import Finish, Piece, Prompt, Role, Sampling, Usage
from mnemon_cloud.errors import EngineBusyError, EngineError, SettingsError, UnsuitableQuestionError
from mnemon_cloud.settings import EngineSettings

if TYPE_CHECKING:
    import httpx

_CONNECT_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 5.0
_LAST_BYTES_SECONDS: Final = 0.2
_FIRST_DELAY: Final = 0.1
"""Seconds before the first repetition; doubled for each further one, and jittered so that callers spread out."""
_BUSY: Final = frozenset({429, 502, 503, 504})
_UNSUITABLE: Final = frozenset({400, 413, 422})
_BYTES_A_TOKEN: Final = 3
"""English has 4 to 5 bytes a token, Chinese and Japanese 3: an estimate that is rather too high."""
_TOKENS_A_MESSAGE: Final = 8
_DONE: Final = "[DONE]"


class OpenAIEngine:
    """:class:`~mnemon_cloud.answers.engines.Engine` in another process. Make one with :meth:`start`.

    Tokens of a question are estimated, and set right by what the server reports at the end of its answer.
    """

    def __init__(self, settings: EngineSettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._well = False
        self._heard = -_PROBE_SECONDS  # when the last words came
        self._probing: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, settings: EngineSettings) -> OpenAIEngine:
        """Look whether the server is there. Where it is not yet, the engine is unhealthy until it is.

        Raises:
            SettingsError: ``engine.url``, ``engine.model`` or ``engine.key_file`` cannot be used.
        """
        engine = cls(settings, _client(settings))
        await engine._probe()
        engine._probing = asyncio.create_task(engine._keep_probing())
        return engine

    @property
    def model(self) -> str:
        """What devices are told it is called."""
        return self._settings.name or self._settings.model

    @property
    def window(self) -> int:
        """Tokens of question and answer together."""
        return self._settings.window

    @property
    def places(self) -> int:
        """Answers at a time."""
        return self._settings.parallel

    def healthy(self) -> bool:
        """Whether the server answered, or listed the model, within the last seconds."""
        return self._well

    async def prepare(self, messages: Sequence[tuple[Role, str]], *, tenant: bytes = b"") -> Prompt:
        """Put a conversation into the server's form; its tokens are an estimate."""
        size = sum(len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN + _TOKENS_A_MESSAGE for _, text in messages)
        payload: dict[str, Any] = {"messages": [{"role": role, "content": text} for role, text in messages]}
        if self._settings.cache_salt and tenant:
            payload["cache_salt"] = tenant.hex()
        return Prompt(payload, size)

    async def answer(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Answer; see :class:`~mnemon_cloud.answers.engines.Engine`.

        Raises:
            UnsuitableQuestionError: The server refuses this conversation, which may be too long.
            EngineBusyError: It has no room now.
            EngineError: It failed, cut the answer off, or said nothing for ``engine.patience_seconds``.
        """
        if not isinstance(prompt.payload, dict):
            raise EngineError("The question is not in this engine's form.", hint="Ask again.")
        body = {**prompt.payload, **self._wishes(sampling)}
        for attempt in range(self._settings.retries + 1):
            if attempt:
                await asyncio.sleep(_FIRST_DELAY * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
            begun = False
            try:
                # Closed explicitly: what is left to the garbage collector stops the server's work too late.
                async with contextlib.aclosing(self._attempt(body, sampling.max_tokens)) as pieces:
                    async for piece in pieces:
                        begun = True
                        self._heard = time.monotonic()
                        yield piece
            except EngineBusyError as error:
                if begun:
                    raise EngineError(str(error), hint="Look into its log.") from error
                if attempt == self._settings.retries:
                    raise
            else:
                return

    def _wishes(self, sampling: Sampling) -> dict[str, Any]:
        wishes = {
            "model": self._settings.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        return wishes if sampling.seed is None else {**wishes, "seed": sampling.seed}

    async def _attempt(self, body: dict[str, Any], most: int) -> AsyncGenerator[Piece, None]:
        import httpx

        try:
            async with self._client.stream("POST", "chat/completions", json=body) as response:
                _check(response)
                async with contextlib.aclosing(_pieces(response.aiter_lines(), most)) as pieces:
                    async for piece in pieces:
                        yield piece
        except httpx.TimeoutException as error:
            if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
                raise EngineBusyError("The model server cannot be reached.") from error
            raise EngineError("The model server says nothing.", hint="Look at its load.") from error
        except httpx.TransportError as error:
            raise EngineBusyError("The line to the model server broke.") from error

    async def _probe(self) -> None:
        """See whether the server lists the model; a change is logged."""
        import httpx

        if time.monotonic() - self._heard < _PROBE_SECONDS:  # it talks; some servers do one thing at a time
            self._well = True
            return
        try:
            response = await self._client.get("models", timeout=_PROBE_SECONDS)
            listed = {str(entry["id"]) for entry in response.raise_for_status().json()["data"]}
            well, state = self._settings.model in listed, "not-listed"
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            well, state = False, type(error).__name__
        if well != self._well or self._probing is None:
            logs.event("engine", reason="well" if well else state, model=self._settings.model)
        self._well = well

    async def _keep_probing(self) -> None:
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            await self._probe()

    async def close(self) -> None:
        """End it; running answers fail. Calling it again does nothing."""
        self._well = False
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        await self._client.aclose()


def _client(settings: EngineSettings) -> httpx.AsyncClient:
    import httpx

    if settings.model == "built-in":
        raise SettingsError("engine.model must name a model of the server.", hint="Ask the server: GET /v1/models.")
    base, socket = settings.url, None
    if base.startswith("unix:"):
        base, socket = "http://localhost/v1", base.removeprefix("unix:")
    elif not base.startswith(("http://", "https://")):
        raise SettingsError(f"engine.url is {base!r}.", hint="Write http://host:port/v1, https://… or unix:/path.")
    headers = {}
    if settings.key_file:
        try:
            headers["Authorization"] = f"Bearer {Path(settings.key_file).expanduser().read_text('utf-8').strip()}"
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{settings.key_file} cannot be read.", hint="Set engine.key_file.") from error
    return httpx.AsyncClient(
        base_url=base,
        headers=headers,
        timeout=httpx.Timeout(settings.patience_seconds, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=settings.parallel + 2),
        transport=httpx.AsyncHTTPTransport(uds=socket) if socket else None,
        trust_env=False,  # a proxy from the environment would read the questions
    )


def _check(response: httpx.Response) -> None:
    """Let a good response pass; the text of a bad one is never read: it may quote the question."""
    status = response.status_code
    if status in _BUSY:
        raise EngineBusyError("The model server has no room.", retry_after=_seconds(response.headers))
    if status in _UNSUITABLE:
        raise UnsuitableQuestionError("The model server refuses this conversation.")
    if status != 200:
        raise EngineError(f"The model server answers {status}.", hint="Check engine.url, model and key_file.")


def _seconds(headers: httpx.Headers) -> float | None:
    try:
        return max(1.0, float(headers["retry-after"]))
    except (KeyError, ValueError):  # none, or a date
        return None


async def _pieces(lines: AsyncIterator[str], most: int) -> AsyncGenerator[Piece, None]:
    """The answer in a stream of server-sent events; its end is told once, with what it cost where the server says so.

    Raises:
        EngineError: The stream reports an error, ends too early, or holds something else.
    """
    finish: Finish | None = None
    usage: Usage | None = None
    produced = 0
    async for line in lines:
        field, _, value = line.partition(":")
        if field != "data":  # comments that keep the line open, names of events
            continue
        if value.strip() == _DONE:
            break
        try:
            event = json.loads(value)
            if "error" in event:
                raise EngineError("The model server reports an error.", hint="Look into its log.")
            if event.get("usage"):
                usage = Usage(int(event["usage"]["prompt_tokens"]), int(event["usage"]["completion_tokens"]))
            for choice in event["choices"]:
                text = (choice.get("delta") or {}).get("content") or ""
                if choice.get("finish_reason") is not None:
                    finish = _finish(choice["finish_reason"])
                if text:
                    produced += 1
                    # Half a surrogate pair is JSON and no text.
                    yield Piece(text.encode("utf-8", "replace").decode("utf-8"), 1)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError("The model server says something unknown.", hint="Check engine.url.") from error
        if produced > most and finish is None:
            yield Piece("", 0, Finish.LENGTH)  # it was asked for less and goes on: closing the stream stops it
            return
    if finish is None:
        raise EngineBusyError("The model server cut the answer off.")
    yield Piece("", 0, finish, usage)
    with contextlib.suppress(TimeoutError):  # to the very end, and the line can be used again
        async with asyncio.timeout(_LAST_BYTES_SECONDS):
            async for _ in lines:
                pass


def _finish(reason: object) -> Finish:
    if reason == "length":
        return Finish.LENGTH
    if reason == "abort":
        raise EngineError("The model server gave the answer up.", hint="Look at its load.")
    return Finish.STOP
