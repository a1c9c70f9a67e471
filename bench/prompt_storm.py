"""What happens to the picture while its prompt is changed twenty times a second: a real worker process, one session.

The same session is watched first without changes, so that a busy machine is seen as such.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.catalog import MODEL_VARIABLE
from pipeline.frame import Frame, PixelFormat, Pixels
from pipeline.settings import Settings
from pipeline.worker.client import WorkerClient
from pipeline.worker.messages import Applied, Done, Rejected
from pipeline.worker.supervisor import Supervisor

SIDE = 256  # pixels
CAMERA_FPS = 15.0
CHANGES = 20.0  # a second
SETTLE = 16  # painted frames after which a change has glided to its end
PATIENCE = 60.0  # seconds to load, or for a change to arrive


@dataclass(frozen=True)
class Storm:
    quiet_gap: float  # the longest time between two painted frames, in periods of the camera; without changes
    storm_gap: float  # the same with them
    painted: int  # frames during the changes
    changes: int
    applied: int
    last_in_force: bool  # the picture afterwards is the last prompt's
    distance: float  # levels, of that picture to the one that a new session with this prompt gets
    distance_of_others: float  # levels, of the first prompt's picture to it: what the distance has to be small against

    @property
    def text(self) -> str:
        return (
            f"longest gap {self.storm_gap:.1f} frame periods, {self.quiet_gap:.1f} without changes; {self.changes} "
            f"changes, {self.applied} applied, {self.painted} frames painted; last prompt "
            f"{'in force' if self.last_in_force else 'NOT IN FORCE'} ({self.distance:.2f} levels from a new session's "
            f"picture, the first prompt's is {self.distance_of_others:.2f} away)"
        )


@dataclass
class Camera:
    """A picture that does not change, as the worker's client takes it."""

    frame: Frame
    width: int = SIDE
    height: int = SIDE
    format: PixelFormat = PixelFormat.RGB24

    def write_into(self, frame: Frame) -> None:
        np.copyto(frame.data, self.frame.data)


@dataclass
class Viewer:
    """A session that notes when it got what."""

    at: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    version: int = 0  # of the last picture
    applied_versions: list[int] = field(default_factory=list)
    picture: Pixels | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def painted(self, done: Done, frame: Frame) -> None:
        if done.error:
            self.errors.append(done.error)
            return
        self.at.append(time.monotonic())
        self.version, self.picture = done.version, frame.rgb().copy()
        self.news.set()

    def dropped(self, sequence: int) -> None: ...

    def applied(self, applied: Applied) -> None:
        self.applied_versions.append(applied.version)

    def rejected(self, rejected: Rejected) -> None:
        self.errors.append(rejected.message)

    def connected(self) -> None: ...

    def stalled(self) -> None: ...
    def lost(self, guilty: bool) -> None: ...

    async def settled(self, version: int) -> Pixels:
        """The picture of the settings `version`, once nothing glides any more. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while self.version != version:
                await self._next()
            for _ in range(SETTLE):
                await self._next()
        assert self.picture is not None
        return self.picture

    async def _next(self) -> None:
        self.news.clear()
        await self.news.wait()

    def longest_gap(self, begin: float, end: float) -> float:
        """In seconds; no painted frame at all is a gap of the whole time."""
        times = [begin, *(at for at in self.at if begin <= at <= end), end]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


async def storm(model: Path, seconds: float) -> Storm:
    """`seconds` without changes and `seconds` with them, over the model in the folder `model`."""
    supervisor = Supervisor(["diffusion"], environment={MODEL_VARIABLE: str(model)})
    supervisor.start()
    try:
        return await _storm(supervisor, seconds)
    finally:
        await supervisor.close()


async def _storm(supervisor: Supervisor, seconds: float) -> Storm:
    viewer, newcomer = Viewer(), Viewer()
    client = WorkerClient(supervisor, viewer, _settings(0), 0)
    camera = asyncio.create_task(_film(client))
    other: WorkerClient | None = None
    other_camera: asyncio.Task[None] | None = None
    try:
        first = await viewer.settled(0)
        quiet = time.monotonic()
        await asyncio.sleep(seconds)
        begin = time.monotonic()
        changes = round(seconds * CHANGES)
        for number in range(1, changes + 1):
            client.apply(number, _settings(number))
            await asyncio.sleep(max(0.0, begin + number / CHANGES - time.monotonic()))
        end = time.monotonic()
        last = await viewer.settled(changes)
        other = WorkerClient(supervisor, newcomer, _settings(changes), changes)
        other_camera = asyncio.create_task(_film(other))
        wanted = await newcomer.settled(changes)
    finally:
        for task in filter(None, (camera, other_camera)):
            task.cancel()
        for one in filter(None, (client, other)):
            await one.close()
    assert not viewer.errors + newcomer.errors, viewer.errors + newcomer.errors
    assert supervisor.restarts == 0
    distance, distance_of_others = _distance(last, wanted), _distance(first, wanted)
    return Storm(
        viewer.longest_gap(quiet, begin) * CAMERA_FPS,
        viewer.longest_gap(begin, end) * CAMERA_FPS,
        sum(begin <= at <= end for at in viewer.at),
        changes,
        len([version for version in viewer.applied_versions if version]),
        distance < distance_of_others / 4,
        distance,
        distance_of_others,
    )


async def _film(client: WorkerClient) -> None:
    chance = np.random.default_rng(0)
    patches = chance.integers(0, 256, (8, 8, 3), np.uint8).repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)
    camera = Camera(Frame.from_rgb(patches))
    begun = time.monotonic()
    for number in itertools.count(1):
        client.submit(camera)
        await asyncio.sleep(max(0.0, begun + number / CAMERA_FPS - time.monotonic()))


def _settings(number: int) -> Settings:
    """The prompt number `number`: none is like the one before, and none has been encoded before."""
    prompt = f"{number} " + chr(ord("A") + number % 26) * 50
    return Settings(pipeline="diffusion", prompt=prompt, width=SIDE, height=SIDE)


def _distance(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(int) - other).mean())
