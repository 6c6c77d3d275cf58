"""Running a Pulumi program in this process, and leaving the SDK's runtime as it was found."""

import asyncio
import contextvars
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from fleet.engine.local.event_loop import ProgramLoop
from fleet.ports.engine import StackRun


def run_program(
    run: StackRun, monitor: Any, engine: Any, *, preview: bool, stopping: threading.Event
) -> None:
    """Run a program to its end against a monitor. Whatever the program raises comes out of here.

    The SDK keeps its settings in context variables: a fresh context for each run keeps runs apart. One
    program at a time in a process all the same, since a program may use other globals of the SDK.
    `stopping` is set when the program breaks off: registrations that still wait must not begin.
    """
    contextvars.copy_context().run(_run, run, monitor, engine, preview, stopping)


def _run(run: StackRun, monitor: Any, engine: Any, preview: bool, stopping: threading.Event) -> None:
    from pulumi.runtime import reset_options, run_in_stack, set_all_config

    reset_options(
        project=run.stack.project,
        stack=run.stack.name,
        organization="organization",
        parallel=run.parallel,
        preview=preview,
        monitor_address=monitor,
        engine_address=engine,
    )
    config = {_full_key(k, run): v for k, v in {**run.config, **run.secret_config}.items()}
    set_all_config(config, [_full_key(k, run) for k in run.secret_config])

    # Registrations block a thread each; what is changed at once is limited by the monitor, not here.
    watched = ProgramLoop(max(run.parallel, 1) * 4, stuck=lambda: _break_off(loop, waiting))
    loop = watched.loop
    # Tasks that wait for a resource whose program has failed end with errors that nobody awaits.
    loop.set_exception_handler(lambda _loop, _context: None)
    waiting = loop.create_task(run_in_stack(partial(_run_and_wait, run.program)))
    try:
        loop.run_until_complete(waiting)
    except asyncio.CancelledError as error:
        stopping.set()
        raise _why_it_waited(error) from None
    except BaseException:
        stopping.set()
        raise
    finally:
        # First let the effects in flight finish, then end the tasks that wait for nothing any more.
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _break_off(loop: asyncio.AbstractEventLoop, waiting: asyncio.Task[None]) -> None:
    """End a program that waits for what will never come.

    An error inside of a resource's constructor leaves outputs behind that nothing will ever set, and before
    the SDK passes on an error of the program, it waits for all outputs.
    """
    if not waiting.done():
        loop.call_soon(waiting.cancel)


def _why_it_waited(error: BaseException) -> BaseException:
    """The program's own error, which the SDK keeps in a variable while it waits; or that it has none."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        kept = frame.f_locals.get("ex") if frame.f_code.co_name == "run_pulumi_func" else None
        if isinstance(kept, BaseException) and not isinstance(kept, asyncio.CancelledError):
            return kept
    return RuntimeError("the program waits for an output that nothing will ever set")


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _full_key(key: str, run: StackRun) -> str:
    return key if ":" in key else f"{run.stack.project}:{key}"


async def _run_and_wait(program: Callable[[], None]) -> None:
    """Run the program and wait until its outputs are there, or one of them failed.

    The SDK would do the waiting: for the next output to be ready, then again for all that are left, which
    takes more time than everything else in a program of some 40 resources. It still does it after this, finds
    nothing left to wait for, and raises what went wrong.
    """
    from pulumi.runtime.settings import SETTINGS

    program()
    while waiting := [task for task in SETTINGS.outputs if not task.done()]:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        if any(task.cancelled() or task.exception() is not None for task in done):
            return
