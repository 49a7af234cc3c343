"""Several processes, one model: each reads its own rows, and all take the same step.

On a CPU, processes of one thread each beat one process of several threads: there is one meeting a step instead of
hundreds, so a busy machine slows training down by what it takes away and little more. Beside busy processes on two
cores, one process with two threads fell from 5,000 tokens a second to 800; two processes of one thread did 2,800.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor


class Group:
    """The processes of a run.

    Args:
        rank: This process's number.
        size: How many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process writes the log and the checkpoints."""
        return self.rank == 0

    def sum(self, tensors: list[Tensor], extra: list[float]) -> list[float]:
        """Add up ``tensors`` over all processes, in place, and ``extra`` numbers, which are returned."""
        if self.size == 1:
            return extra
        flat = torch.cat([*(t.reshape(-1) for t in tensors), torch.tensor(extra)])
        dist.all_reduce(flat)
        at = 0
        for tensor in tensors:
            tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
            at += tensor.numel()
        return [float(number) for number in flat[at:]]

    def mine(self, index: int) -> bool:
        """Whether the work of number ``index`` is this process's."""
        return index % self.size == self.rank

    def exchange(self, tensors: list[Tensor]) -> None:
        """Give every process the tensors that are :meth:`mine` to each."""
        if self.size > 1:
            for index, tensor in enumerate(tensors):
                dist.broadcast(tensor, src=index % self.size)


def start(work: Callable[[Group], None], size: int) -> None:
    """Run ``work`` in ``size`` processes (in this one when it is 1) and wait; Ctrl-C and SIGTERM are passed on."""
    if size == 1:
        work(Group())
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        running = torch.multiprocessing.spawn(_enter, args=(work, size, meeting), nprocs=size, join=False)

        def pass_on(number: int, _: object) -> None:
            for pid in running.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

        before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not running.join():
                pass
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _enter(rank: int, work: Callable[[Group], None], size: int, meeting: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    try:
        work(Group(rank, size))
    finally:
        dist.destroy_process_group()
