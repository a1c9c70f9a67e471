"""Send a picture to the server over /ws and save what comes back: `pip install websockets`, then

python websocket_client.py ws://localhost:8000/ws portrait.jpg painted.jpg "pastel by renoir"
"""

import asyncio
import json
import sys
from pathlib import Path

from websockets.asyncio.client import connect


async def paint(url: str, source: Path, target: Path, prompt: str) -> dict[str, object]:
    """What the server says of the painted picture. Raises RuntimeError with the server's words if it refuses."""
    async with connect(url, max_size=2**24) as socket:
        # A change of prompt glides over eight frames otherwise: made for video, not for one picture.
        await socket.send(json.dumps({"type": "settings", "data": {"prompt": prompt, "glide_frames": 0}}))
        description: dict[str, object] = {}
        async for message in socket:
            if isinstance(message, bytes):
                target.write_bytes(message)
                break
            said = json.loads(message)
            if said["type"] == "error":
                raise RuntimeError(f"{said['data']['message']} {said['data']['fix']}")
            if said["type"] == "settings_applied":
                await socket.send(source.read_bytes())
            if said["type"] == "processed_frame":
                description = said["data"]
        return description


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(paint(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))}\n")
