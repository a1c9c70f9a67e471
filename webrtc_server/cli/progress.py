"""How far something long is: a bar on a terminal, elsewhere a line for each stage and for each quarter of it.

It shows what a back end reports of a load (`pipeline.backend.Progress`), in this process or over the worker, and what a
benchmark says of itself. Everything goes to standard error, so that standard output stays the answer.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

import rich.progress as bars
from rich.console import Console
from rich.filesize import decimal

from pipeline.backend import Progress
from pipeline.worker.supervisor import WorkerState

QUARTERS = 4


class ProgressBar:
    """A context; called with each report, from any one thread at a time."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[amount]}"),
            bars.TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # what a file is to get stays its own
            disable=not self._console.is_interactive,
        )
        self._stage: str | None = None
        self._quarter = 0
        self._task: bars.TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the screen. Repeatable."""
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        is_new = progress.stage != self._stage
        self._stage = progress.stage
        if self._console.is_interactive:
            self._draw(progress, is_new)
        else:
            self._write(progress, is_new)

    def _draw(self, progress: Progress, is_new: bool) -> None:
        if is_new and self._task is not None:  # so that the speed of one stage says nothing of the next
            self._bar.remove_task(self._task)
            self._task = None
        if self._task is None:
            self._task = self._bar.add_task(progress.stage, total=None, amount="")
        self._bar.update(self._task, total=progress.total or None, completed=progress.done, amount=amount(progress))

    def _write(self, progress: Progress, is_new: bool) -> None:
        quarter = progress.done * QUARTERS // progress.total if progress.total else 0
        if is_new or quarter > self._quarter:
            self._console.print(f"{progress.stage} {amount(progress)}".rstrip(), markup=False, highlight=False)
        self._quarter = quarter


class WorkerProgress:
    """Shows the worker's loads while the server runs: give it each state of the supervisor. Close it at the end."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar: ProgressBar | None = None

    def __call__(self, state: WorkerState) -> None:
        if state.progress is None or (state.is_up and state.switching is None):
            self.close()
            return
        if self._bar is None:
            self._bar = ProgressBar(self._console).__enter__()
        loading = state.progress
        self._bar(Progress(loading.stage, loading.done, loading.total, loading.unit))

    def close(self) -> None:
        if self._bar:
            self._bar.close()
            self._bar = None


def amount(progress: Progress) -> str:
    """`1.2 GB of 2.4 GB`, `2 of 3 steps`; nothing where the total is not known."""
    if not progress.total:
        return ""
    if progress.unit == "bytes":
        return f"{decimal(progress.done)} of {decimal(progress.total)}"
    return f"{progress.done} of {progress.total} {progress.unit}".rstrip()
