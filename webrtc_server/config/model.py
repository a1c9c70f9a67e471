"""The settings of the process as one frozen model, out of a part for each concern."""

from __future__ import annotations

from webrtc_server.config.access import Access
from webrtc_server.config.listening import Listening
from webrtc_server.config.media import Media
from webrtc_server.config.operation import Operation
from webrtc_server.config.painting import Painting
from webrtc_server.config.part import Part

PARTS: dict[str, type[Part]] = {
    "Address": Listening,
    "Who may come in": Access,
    "Pictures": Painting,
    "Video's way": Media,
    "Operation": Operation,
}


class Config(Operation, Media, Painting, Access, Listening):  # pydantic takes the fields of the last one first
    """What the process is told at its start. Made by `sources`; tests make one directly, which reads nothing."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that nobody may read anywhere."""
        held = [self.auth_token, self.turn_secret, *(server.credential for server in self.ice_servers)]
        return tuple(secret.get_secret_value() for secret in held if secret)
