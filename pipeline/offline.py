"""Runs a pipeline over a picture, a folder of pictures or a video file: `python -m pipeline.offline IN OUT`.

No server and no worker process. Tests, benchmarks and the pictures of the README use `paint`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import typer
from PIL import Image, ImageOps

from pipeline.backend import Backend
from pipeline.errors import PipelineError
from pipeline.frame import Frame
from pipeline.registry import AUTO, choose, make
from pipeline.settings import InvalidSettings, Settings, merge
from pipeline.videoframe import VideoPicture, to_video

PICTURES = (".png", ".jpg", ".jpeg")
VIDEOS = (".mp4", ".mkv", ".webm", ".mov", ".avi")


def paint(backend: Backend[Any], frames: Iterable[Frame], settings: Settings) -> Iterator[Frame]:
    """One painted frame for each given, as one session of a loaded back end. Raises the error of the first bad one."""
    state = backend.new_state(settings)
    for frame in frames:
        (answer,) = backend.step([(state, frame)])
        if isinstance(answer, PipelineError):
            raise answer
        yield answer


def paint_picture(backend: Backend[Any], source: Path, target: Path, settings: Settings) -> None:
    """One picture file to another. Raises OSError if it cannot be read or written."""
    with Image.open(source) as image:
        rgb = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    (painted,) = paint(backend, [Frame.from_rgb(rgb)], settings)
    Image.fromarray(painted.rgb()).save(target)


def paint_video(backend: Backend[Any], source: Path, target: Path, settings: Settings) -> int:
    """One video file to another (H.264, no sound); answers how many frames. Raises av.FFmpegError."""
    count = 0
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        camera = read.streams.video[0]
        time_base = camera.time_base or Fraction(1, 30)
        stream = write.add_stream("libx264", rate=camera.average_rate or 30)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = time_base
        stamps: list[int] = []

        def frames() -> Iterator[Frame]:
            for video in read.decode(camera):
                stamps.append(video.pts or 0)
                yield VideoPicture(video).to_frame()

        for painted in paint(backend, frames(), settings):
            if not count:
                stream.width, stream.height = painted.width, painted.height
            write.mux(stream.encode(to_video(painted, stamps.pop(), time_base)))
            count += 1
        write.mux(stream.encode())
    return count


def _given(pairs: list[str]) -> dict[str, object]:
    """`name=value` texts; a value is JSON, or else a text as it stands."""
    patch: dict[str, object] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            patch[name] = json.loads(value)
        except ValueError:
            patch[name] = value
    return patch


def main(
    source: Annotated[Path, typer.Argument(metavar="IN", exists=True, help="A picture, a video or a folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The same kind; a folder is made.")],
    pipeline: Annotated[str, typer.Option(help="Which pipeline paints.")] = AUTO,
    prompt: Annotated[str | None, typer.Option(help="How the result should look.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="name=value of any other setting.")] = None,
) -> None:
    """Paint a picture, a video or every picture of a folder."""
    try:
        patch = {"pipeline": choose(pipeline).name, **_given(setting or [])}
        settings = merge(Settings(), patch if prompt is None else {**patch, "prompt": prompt}).settings
        backend = make(settings.pipeline)
        backend.load(lambda progress: None)
    except (LookupError, InvalidSettings, PipelineError) as error:
        raise typer.BadParameter(str(error)) from error
    for line in backend.notes(backend.new_state(settings)):
        typer.echo(line, err=True)
    if source.suffix.lower() in VIDEOS:
        typer.echo(f"{paint_video(backend, source, target, settings)} frames", err=True)
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            if path.suffix.lower() in PICTURES:
                paint_picture(backend, path, target / path.name, settings)
    else:
        paint_picture(backend, source, target, settings)
    backend.close()


if __name__ == "__main__":
    typer.run(main)
