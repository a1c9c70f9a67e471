"""A STUN and TURN server on loopback with coturn's `use-auth-secret`: as much of RFC 8656 as a client asks of it.

Its messages are read and written by aioice's parser, its passwords are its own reckoning. Faults: wrong `secret`,
`silent`, and `carries = False`, where an allocation is given and nothing comes through it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import selectors
import socket
import struct
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aioice import stun

REALM = "test"
NONCE = b"0123456789abcdef"
Address = tuple[str, int]


@dataclass
class Allocation:
    client: Address
    relay: socket.socket
    channels: dict[int, Address] = field(default_factory=dict)


class TurnServer:
    """Serves while it is entered, in a thread."""

    def __init__(self, secret: str) -> None:
        self.silent = False
        self.carries = True
        self.given = 0  # allocations
        self.allocations: dict[Address, Allocation] = {}
        self._secret = secret
        self._selector = selectors.DefaultSelector()
        self._socket = self._listen()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="fake TURN")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for one in (self._socket, *(allocation.relay for allocation in self.allocations.values())):
            one.close()
        self._selector.close()

    def _listen(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        self._selector.register(made, selectors.EVENT_READ)
        return made

    def _serve(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.02):
                assert isinstance(key.fileobj, socket.socket)
                data, sender = key.fileobj.recvfrom(2000)
                if self.silent:
                    continue
                if key.fileobj is not self._socket:
                    self._from_peer(key.fileobj, data, sender)
                elif data[0] & 0xC0 == 0x40:
                    self._to_peer(data, sender)
                else:
                    self._socket.sendto(bytes(self._answer(stun.parse_message(data), sender)), sender)

    def _from_peer(self, relay: socket.socket, data: bytes, peer: Address) -> None:
        for allocation in self.allocations.values():
            for channel, bound in allocation.channels.items():
                if allocation.relay is relay and bound == peer:
                    self._socket.sendto(struct.pack("!HH", channel, len(data)) + data, allocation.client)

    def _to_peer(self, data: bytes, client: Address) -> None:
        allocation = self.allocations.get(client)
        channel, length = struct.unpack("!HH", data[:4])
        if self.carries and allocation and channel in allocation.channels:
            allocation.relay.sendto(data[4 : 4 + length], allocation.channels[channel])

    def _answer(self, request: stun.Message, client: Address) -> stun.Message:
        answer = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id)
        if request.message_method == stun.Method.BINDING:
            answer.attributes["XOR-MAPPED-ADDRESS"] = client
            return answer
        username = str(request.attributes.get("USERNAME", ""))
        digest = hmac.digest(self._secret.encode(), username.encode(), "sha1")
        key = hashlib.md5(f"{username}:{REALM}:{base64.b64encode(digest).decode()}".encode()).digest()
        if not username or not request.check_message_integrity(key):
            answer.message_class = stun.Class.ERROR
            answer.attributes |= {"ERROR-CODE": (401, "Unauthorized"), "REALM": REALM, "NONCE": NONCE}
            return answer
        self._grant(request, answer, client)
        answer.add_message_integrity(key)
        return answer

    def _grant(self, request: stun.Message, answer: stun.Message, client: Address) -> None:
        if request.message_method == stun.Method.ALLOCATE:
            self.given += 1
            allocation = self.allocations[client] = Allocation(client, self._listen())
            answer.attributes["XOR-RELAYED-ADDRESS"] = allocation.relay.getsockname()
            answer.attributes["XOR-MAPPED-ADDRESS"] = client
            answer.attributes["LIFETIME"] = request.attributes["LIFETIME"]
        elif request.message_method == stun.Method.CHANNEL_BIND:
            channels = self.allocations[client].channels
            channels[request.attributes["CHANNEL-NUMBER"]] = request.attributes["XOR-PEER-ADDRESS"]
        elif request.message_method == stun.Method.REFRESH:
            answer.attributes["LIFETIME"] = request.attributes["LIFETIME"]
            if request.attributes["LIFETIME"] == 0 and (ended := self.allocations.pop(client, None)):
                self._selector.unregister(ended.relay)
                ended.relay.close()
