"""`/ws` through an independent WebSocket client: pictures of every kind, messages good and bad, newest wins."""

from __future__ import annotations

import asyncio
import io
import json
import runpy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.conftest import StartServer


def scene(width: int = 320, height: int = 240) -> Image.Image:
    """Four coloured quarters with a soft gradient: any turn, swap or shift of channels shows."""
    y, x = np.mgrid[:height, :width]
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = np.where(x < width // 2, 200, 40)
    rgb[..., 1] = np.where(y < height // 2, 180, 60)
    rgb[..., 2] = (x * 255 // width).astype(np.uint8)
    return Image.fromarray(rgb)


def as_file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401  Pillow's own
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, data: object, message_id: str | None = None) -> None:
        await self.socket.send(json.dumps({"type": kind, "data": data} | ({"id": message_id} if message_id else {})))

    async def message(self, kind: str) -> dict[str, Any]:
        """The data of the next message of that type; others are passed over."""
        async with asyncio.timeout(10):
            while True:
                received = await self.socket.recv()
                if isinstance(received, str) and (message := json.loads(received))["type"] == kind:
                    data: dict[str, Any] = message["data"]
                    return data

    async def picture(self) -> tuple[dict[str, Any], Image.Image]:
        """The next picture, and the message just before it."""
        description = await self.message("processed_frame")
        data = await self.socket.recv()
        assert isinstance(data, bytes)
        assert len(data) == description["bytes"]
        image = Image.open(io.BytesIO(data))
        image.load()
        return description, image


@asynccontextmanager
async def client_of(url: str, query: str = "") -> AsyncIterator[Client]:
    async with connect(url.replace("http", "ws") + "/ws" + query, max_size=2**24) as socket:
        yield Client(socket)


async def processed(client: Client) -> bool:
    """Whether a picture sent now comes back painted."""
    await client.socket.send(as_file(scene(64, 48)))
    description, _ = await client.picture()
    return bool(description["processed"])


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a.convert("RGB"), int) - np.asarray(b.convert("RGB"), int)).mean())


async def test_status_comes_first_and_identity_returns_the_very_picture(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with client_of(server.url) as client:
        first = json.loads(await client.socket.recv())
        assert (first["type"], first["data"]["pipeline"]) == ("status", "identity")
        await client.socket.send(as_file(scene(321, 241)))
        description, image = await client.picture()
        assert difference(image, scene(321, 241)) == 0
        assert (description["width"], description["height"], description["format"]) == (321, 241, "png")
        assert (description["seq"], description["input_seq"], description["dropped"]) == (0, 1, 0)
        await client.socket.send(as_file(scene(), "JPEG", quality=95))
        description, image = await client.picture()
        assert (image.format, description["format"], description["settings_version"]) == ("JPEG", "jpeg", 0)
        assert difference(image, scene()) < 4


def sixteen_bit_grey() -> bytes:
    grey = np.asarray(scene().convert("L")).astype(np.uint16) * 257
    return as_file(Image.fromarray(grey))


def turned_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    return as_file(scene().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


def half_transparent() -> bytes:
    layer = scene().convert("RGBA")
    layer.putalpha(128)
    return as_file(layer)


GREY = scene().convert("L")
KINDS = {
    "rgba": (as_file(scene().convert("RGBA")), scene()),
    "half transparent over black": (half_transparent(), Image.fromarray(np.asarray(scene()) // 2)),
    "grey": (as_file(GREY), GREY),
    "grey jpeg": (as_file(GREY, "JPEG", quality=95), GREY),
    "grey and alpha": (as_file(scene().convert("LA")), GREY),
    "16 bit grey": (sixteen_bit_grey(), GREY),
    "palette": (as_file(scene().quantize(64)), scene().quantize(64)),
    "black and white": (as_file(scene().convert("1")), scene().convert("1")),
    "exif turned": (turned_by_exif(), scene()),
    "cmyk jpeg": (as_file(scene().convert("CMYK"), "JPEG", quality=95), scene()),
}


async def test_pictures_of_every_kind_come_back_right(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with client_of(server.url) as client:
        for name, (data, expected) in KINDS.items():
            await client.socket.send(data)
            _, image = await client.picture()
            assert image.size == expected.size, name
            assert difference(image, expected) < 5, name


async def test_failures_are_errors_and_the_socket_stays_usable(start_server: StartServer) -> None:
    server = await start_server("identity")
    png, jpeg = as_file(scene()), as_file(scene(), "JPEG")
    bad = {
        b"": "bad_image",
        b"not a picture": "bad_image",
        as_file(scene(), "GIF"): "bad_image",
        png[: len(png) // 2]: "bad_image",
        jpeg[: len(jpeg) // 2]: "bad_image",
        as_file(Image.new("1", (9500, 9500))): "frame_too_large",
        as_file(Image.new("L", (2049, 10))): "frame_too_large",
        as_file(Image.new("L", (1921, 1088))): "frame_too_large",
        bytes(8 * 2**20 + 1): "too_large",
    }
    async with client_of(server.url) as client:
        for data, code in bad.items():
            await client.socket.send(data)
            error = await client.message("error")
            assert (error["code"], bool(error["fix"])) == (code, True), data[:20]
        for text, code in {"{": "bad_message", '{"type": "x"}': "unknown_type"}.items():
            await client.socket.send(text)
            assert (await client.message("error"))["code"] == code
        await client.socket.send(as_file(Image.new("L", (1920, 1088))))
        description, _ = await client.picture()
        assert description["dropped"] == 0


async def test_settings_are_applied_to_the_pictures_that_follow(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with client_of(server.url) as client:
        await client.send("settings", {"pipeline": "fault"}, "a")
        assert (await client.message("settings_applied"))["version"] == 1
        await client.socket.send(as_file(scene()))
        description, image = await client.picture()
        assert description["settings_version"] == 1
        assert difference(image, Image.fromarray(255 - np.asarray(scene()))) == 0
        await client.send("settings", {"denoising_strength": 2})
        assert (await client.message("error"))["code"] == "invalid_settings"
        await client.socket.send(as_file(scene()))
        assert (await client.picture())[0]["settings_version"] == 1


async def test_newest_picture_wins(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with client_of(server.url) as client:
        await client.send("settings", {"prompt": "slow 0.2"})
        await client.message("settings_applied")
        for _ in range(30):
            await client.socket.send(as_file(scene(), "JPEG"))
            await asyncio.sleep(0.01)
        seen = [(await client.picture())[0]]
        while seen[-1]["input_seq"] < 30:
            seen.append((await client.picture())[0])
        assert len(seen) <= 6
        assert [d["seq"] for d in seen] == list(range(len(seen)))
        assert sum(d["dropped"] for d in seen) + len(seen) == 30


async def test_a_picture_that_fails_comes_back_unpainted_with_an_error(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with client_of(server.url) as client:
        await client.send("settings", {"prompt": "raise"})
        await client.message("settings_applied")
        await client.socket.send(as_file(scene()))
        assert (await client.message("error"))["code"] == "internal"
        description, image = await client.picture()
        assert description["processed"] is False
        assert difference(image, scene()) == 0


async def test_dead_worker_costs_no_answer(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with client_of(server.url) as client:
        await client.send("settings", {"prompt": "crash"})
        await client.message("settings_applied")
        await client.socket.send(as_file(scene()))
        description, _ = await client.picture()
        assert description["processed"] is False
        await client.send("settings", {"prompt": "alive"})
        await server.worker_is("ready")
        assert (await client.message("status"))["state"] in ("passthrough", "running")
        processed = False
        while not processed:
            await client.socket.send(as_file(scene()))
            description, _ = await client.picture()
            processed = description["processed"]


async def test_the_example_of_the_documents_works(start_server: StartServer) -> None:
    token = "sixteen-letters."
    server = await start_server("effects", auth_token=token)
    example = runpy.run_path("docs/howto/websocket_client.py")
    address = server.url.replace("http", "ws") + "/ws"
    painted, description = await example["paint"](address, as_file(scene(512, 512)), "pencil", token)
    assert description["processed"]
    assert difference(Image.open(io.BytesIO(painted)), scene(512, 512)) > 30
    with pytest.raises(RuntimeError, match="not changed"):
        await example["paint"](address, b"", "x" * 1001, token)


@pytest.mark.parametrize(("origin", "allowed"), [("http://evil.example", False), ("own", True)])
async def test_pages_of_other_origins_are_kept_out(start_server: StartServer, origin: str, allowed: bool) -> None:
    server = await start_server("identity")
    address = server.url.replace("http", "ws") + "/ws"
    if allowed:
        async with connect(address, origin=server.url) as socket:  # type: ignore[arg-type]
            assert json.loads(await socket.recv())["type"] == "status"
    else:
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, origin=origin)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403


async def test_server_that_stops_says_so(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with client_of(server.url) as client:
        while (await client.message("status"))["state"] != "running":
            pass
        await server.close()
        status = await client.message("status")
        assert (status["state"], status["reason"]) == ("closed", "draining")


async def test_full_server_refuses_before_the_upgrade(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=1, queue_length=0)
    async with client_of(server.url) as client:
        await client.message("status")
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.url.replace("http", "ws") + "/ws")
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "5"
