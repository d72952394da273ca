"""Where tasks are performed: in this process, in processes of its own (joblib), or on a dask cluster.

Each function takes tasks from an iterator as it has room for them, and yields their outcomes as they are done, in any
order.  When the iterator ends, those begun are waited for; when the generator is closed, they are stopped.  All use
one BLAS thread a worker, so that they compute the same numbers: processes by their environment, this process by
threadpoolctl where that is installed (else set OMP_NUM_THREADS=1), dask's workers by their nanny's default.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from itertools import islice
from typing import Any

from boltzgrad import __version__
from boltzgrad.errors import ClusterUnusable, MissingExtra, WorkersLost
from boltzgrad.experiments.task import Outcome, Task, perform, perform_elsewhere

Outcomes = Generator[Outcome, None, None]

CONNECT = 5.0  # seconds that a cluster may take to answer
FIRST_WORKER = 10.0  # seconds that a cluster may take to have a worker


def optional(module: str, purpose: str) -> Any:
    """An optional package's module.  Raises: MissingExtra if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise MissingExtra(f"{purpose} needs {package}: pip install 'boltzgrad[experiments]'") from error


def serial(tasks: Iterator[Task]) -> Outcomes:
    """One after the other, in this process."""
    try:
        limits: Any = importlib.import_module("threadpoolctl").threadpool_limits
    except ModuleNotFoundError:
        limits = contextlib.nullcontext
    with limits(1):
        for task in tasks:
            yield perform(task)


def processes(tasks: Iterator[Task], count: int) -> Outcomes:
    """In processes of this machine.  Raises: MissingExtra; WorkersLost if one of them is killed."""
    joblib = optional("joblib", "workers > 1")
    begin = {"initializer": _begin_child, "initargs": (os.getpid(),)}
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1, **begin):
        parallel = joblib.Parallel(
            n_jobs=count, return_as="generator_unordered", batch_size=1, pre_dispatch=count, max_nbytes=None
        )
    outcomes = parallel(joblib.delayed(perform_elsewhere)(task) for task in tasks)
    try:
        yield from outcomes
    except BrokenExecutor as error:
        codes = re.search(r"\{(.*)\}", str(error))
        how = f" (exit codes {codes[1]})" if codes else ""
        raise WorkersLost(
            f"a worker process was killed{how}: by hand, by the system for lack of memory (try fewer --jobs), or by a "
            "fault in compiled code"
        ) from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that tasks were cancelled is what was asked for
            outcomes.close()


def cluster(tasks: Iterator[Task], address: str) -> Outcomes:
    """On a dask cluster that is there already; a task whose worker is killed is given to another by dask.

    Raises: MissingExtra; ClusterUnusable if it does not answer in `CONNECT` seconds, has no workers, or they have another
    boltzgrad; WorkersLost if the cluster goes away.
    """
    distributed = optional("distributed", "a dask cluster")
    with _client(distributed, address) as client:
        _same_version(client, address)
        room = 2 * sum(client.nthreads().values())  # one to work on and one to go on with
        begun = {client.submit(perform_elsewhere, task, pure=False): task for task in islice(tasks, room)}
        waiting = distributed.as_completed(list(begun), loop=client.loop)
        try:
            for future in waiting:
                task = begun.pop(future)
                yield _outcome(distributed, future, task, address)
                for following in islice(tasks, 1):
                    another = client.submit(perform_elsewhere, following, pure=False)
                    begun[another] = following
                    waiting.add(another)
        finally:
            if begun and client.status == "running":
                client.cancel(list(begun))


@contextlib.contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    try:
        with ThreadPoolExecutor(1) as aside:  # not here: a notebook has an event loop of its own
            aside.submit(asyncio.run, _knock(distributed, address)).result()
        client = distributed.Client(address, timeout=CONNECT, set_as_default=False, name="boltzgrad")
    except (OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise ClusterUnusable(
            f"no dask scheduler answers at {address!r} within {CONNECT:g} s ({reason}); expected an address such as "
            "tcp://127.0.0.1:8786, which `dask scheduler` prints when it starts"
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=2)


async def _knock(distributed: Any, address: str) -> None:
    """Raise an OSError unless something that speaks dask is there; a Client would wait for ever for what only listens."""
    options = distributed.Security().get_connection_args("client")
    answer = await asyncio.wait_for(distributed.comm.connect(address, timeout=CONNECT, **options), CONNECT + 0.5)
    await answer.close()


def _same_version(client: Any, address: str) -> None:
    """Refuse a cluster without workers, or with one that would compute with another boltzgrad."""
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER)
    except TimeoutError as error:
        raise ClusterUnusable(
            f"the dask cluster at {address} has had no worker for {FIRST_WORKER:g} s; start one: dask worker {address}"
        ) from error
    found = client.run(eval, "__import__('boltzgrad').__version__", on_error="return")
    for worker, version in found.items():
        if isinstance(version, BaseException):
            version = f"none ({type(version).__name__}: {version})"
        _check_version(str(version), f"dask worker {worker}")


def _check_version(version: str, whose: str) -> None:
    if version != __version__:
        raise ClusterUnusable(
            f"the boltzgrad of {whose} is {version}; expected {__version__}, as here, so that all rows are computed by the "
            f"same code. Install it where the workers run (pip install boltzgrad=={__version__}) and restart them"
        )


def _outcome(distributed: Any, future: Any, task: Task, address: str) -> Outcome:
    gone = WorkersLost(f"the dask cluster at {address} went away: its scheduler was stopped or cannot be reached")
    if future.status == "cancelled":
        raise gone
    try:
        error = future.exception()
        outcome: Outcome | None = None if error is not None else future.result()
    except (distributed.CancelledError, distributed.comm.CommClosedError) as lost:  # between the news and the fetching
        raise gone from lost
    if outcome is not None:
        _check_version(outcome.version, "a dask worker that joined later")
        return outcome
    if isinstance(error, distributed.KilledWorker):
        many = error.allowed_failures + 1
        error = WorkersLost(
            f"{many} dask workers died one after the other with it; its memory may not suffice ({error})"
        )
    return Outcome(task.key, [], 0.0, __version__, error)


def _begin_child(parent: int) -> None:
    """What a worker process begins with: it leaves Ctrl-C to its parent and does not outlive it, with a task or without."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), name="boltzgrad-parent", daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
