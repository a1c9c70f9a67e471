"""Send a picture to the server over /ws and save what comes back: `pip install websockets`, then

python websocket_client.py ws://localhost:8000/ws portrait.jpg painted.jpg "pastel by renoir"

A server that asks for a token gets it from LIVE_DIFFUSION_AUTH_TOKEN.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from websockets.asyncio.client import connect


async def paint(url: str, picture: bytes, prompt: str, token: str = "") -> tuple[bytes, dict[str, object]]:
    """The painted picture, and what the server says of it. Raises RuntimeError with its words if it refuses."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with connect(url, max_size=2**24, additional_headers=headers) as socket:
        # A change of prompt glides over eight frames otherwise: made for video, not for one picture.
        await socket.send(json.dumps({"type": "settings", "data": {"prompt": prompt, "glide_frames": 0}}))
        description: dict[str, object] = {}
        async for message in socket:
            if isinstance(message, bytes):
                return message, description
            said = json.loads(message)
            if said["type"] == "error":
                raise RuntimeError(f"{said['data']['message']} {said['data']['fix']}")
            if said["type"] == "settings_applied":
                await socket.send(picture)
            if said["type"] == "processed_frame":
                description = said["data"]
        raise RuntimeError("the server closed the connection")


if __name__ == "__main__":
    url, source, target, prompt = sys.argv[1:]
    painted, description = asyncio.run(
        paint(url, Path(source).read_bytes(), prompt, os.environ.get("LIVE_DIFFUSION_AUTH_TOKEN", ""))
    )
    Path(target).write_bytes(painted)
    sys.stdout.write(f"{description}\n")
