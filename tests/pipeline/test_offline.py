"""The command that paints files."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from pipeline.backends.effects import Effects
from pipeline.effects import apply_effect
from pipeline.errors import BadFrame
from pipeline.frame import Frame
from pipeline.offline import main, paint
from tests.pipeline.samples import astronaut, distance, small_settings

SMALL = ["--set", "width=256", "--set", "height=256", "--set", "denoising_strength=1", "--set", "steadiness=0"]
INK = ["--pipeline", "effects", "--prompt", "ink", *SMALL]


@pytest.fixture(scope="module")
def command() -> Typer:
    app = Typer()
    app.command()(main)
    return app


def run(command: Typer, source: Path, target: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(source), str(target), *options])
    return result.exit_code, result.output


def test_a_picture(command: Typer, tmp_path: Path) -> None:
    Image.fromarray(astronaut()).save(tmp_path / "in.png")
    code, output = run(command, tmp_path / "in.png", tmp_path / "out.png", *INK)
    assert (code, output) == (0, "effect mix: 100 % ink (match 1.0)\n")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), apply_effect("ink", astronaut(), 2))


@pytest.mark.logs_errors("could not be painted")
def test_the_first_bad_frame_ends_it() -> None:
    good, bad = Frame.from_rgb(astronaut()), Frame.from_rgb(astronaut())
    object.__setattr__(bad, "data", bad.data[:10])
    painting = paint(Effects(), [good, bad, good], small_settings(prompt="ink"))
    assert next(painting).width == 256
    with pytest.raises(BadFrame):
        next(painting)


def test_a_folder(command: Typer, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.JPG"):
        Image.fromarray(astronaut()).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    assert run(command, tmp_path / "in", tmp_path / "out", *INK)[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.JPG"]


def test_a_video(command: Typer, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mp4"), "w") as write:
        stream = write.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(5):
            write.mux(stream.encode(av.VideoFrame.from_ndarray(astronaut(320, 240), "rgb24")))
        write.mux(stream.encode())
    code, output = run(command, tmp_path / "in.mp4", tmp_path / "out.mp4", *INK)
    assert code == 0, output
    with av.open(str(tmp_path / "out.mp4")) as read:
        pictures = [frame.to_ndarray(format="rgb24") for frame in read.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(256, 256, 3)] * 5
    assert distance(np.asarray(pictures[0], np.uint8), astronaut()) > 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "width=300"], "multiple of 64"),
        (["--pipeline", "none"], "no pipeline"),
        (["--set", "x=1"], "no such"),
    ],
)
def test_wrong_options_are_named(command: Typer, tmp_path: Path, options: list[str], said: str) -> None:
    Image.fromarray(astronaut()).save(tmp_path / "in.png")
    code, output = run(command, tmp_path / "in.png", tmp_path / "out.png", *options)
    assert code == 2
    assert said in output
