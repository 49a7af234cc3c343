"""Logs with events and numbers, never words: what a device sends cannot get into them.

A record is built from a fixed event name and fields from a fixed list, each a number, an id or a name from the code.
Records of libraries are kept as their logger's name and level only: their text could quote a request.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

logger = logging.getLogger("mnemon_cloud")
logger.addHandler(logging.NullHandler())

_FIELDS = frozenset(
    {
        "address",
        "answer_tokens",
        "code",
        "device",
        "error",
        "grace_seconds",
        "method",
        "milliseconds",
        "model",
        "pid",
        "place",
        "prompt_tokens",
        "reason",
        "running",
        "worker",
    }
)


def event(name: str, *, level: int = logging.INFO, **fields: str | float | bytes) -> None:
    """Log that something happened.

    Args:
        name: A word of the code, such as ``call``.
        fields: From the fixed list; bytes are ids and are shown as their first 8 hex digits.

    Raises:
        ValueError: A field that is not on the list: add it there only if it can never hold content.
    """
    unknown = fields.keys() - _FIELDS
    if unknown:
        raise ValueError(f"not a field of the log: {', '.join(sorted(unknown))}")
    shown = {k: v.hex()[:8] if isinstance(v, bytes) else v for k, v in fields.items()}
    logger.log(level, name, extra={"mnemon_event": {"event": name, **shown}})


def failure(name: str, error: BaseException) -> None:
    """Log an error nobody expected: its type and where it was raised, never its message or its values."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "?" if trace is None else f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
    event(name, level=logging.ERROR, error=type(error).__name__, place=place)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's event and fields; of another library's record its logger and level."""
        own = getattr(record, "mnemon_event", None) if record.name == logger.name else None
        body = own if isinstance(own, dict) else {"event": "library", "place": record.name}
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return json.dumps({"at": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower(), **body})


def start(stream: TextIO | None = None) -> None:
    """Send everything logged in this process to ``stream`` (stderr), as JSON, from INFO up."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger.setLevel(logging.INFO)
