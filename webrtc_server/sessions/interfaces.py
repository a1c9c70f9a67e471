"""What a transport supplies to a session, and what a picture is to it. No decisions here."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pipeline.frame import Frame
from pipeline.settings import Settings
from pipeline.worker.client import Picture
from pipeline.worker.messages import Done
from webrtc_server.observe.counted import Counted
from webrtc_server.protocol.error_codes import Code
from webrtc_server.protocol.messages import ServerData

P_contra = TypeVar("P_contra", bound=Picture, contravariant=True)


class Transport(Protocol[P_contra]):
    """One connection to a client. Called on the event loop; must not block and must not raise."""

    name: str  # of the kind of transport, one of a few

    def send(self, data: ServerData, reply_to: str | None = None) -> None:
        """A message of the control protocol; dropped if the client has no channel open."""

    def painted(self, source: P_contra, frame: Frame, done: Done) -> None:
        """The painted picture of `source`. `frame` is shared memory: copy it before returning."""

    def unpainted(self, source: P_contra, settings: Settings, version: int) -> None:
        """`source` is to be shown as it is, at the size that `settings` ask for."""

    def figures(self) -> dict[str, float | None]:
        """What the transport knows of itself, for `stats`: its own names and units."""

    def counted(self) -> Counted:
        """What it has counted for itself so far; also after its end."""

    async def close(self, reason: Code | None) -> None:
        """End the connection, for `reason` if there is one to give; bounded, repeatable, does not raise."""
