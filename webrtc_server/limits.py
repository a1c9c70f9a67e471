"""Every limit on what a client may send or hold: name, value, unit, reason."""

from __future__ import annotations

JSON_BYTES = 64 * 1024  # one message or HTTP body; the longest legal settings need 50 kB
JSON_DEPTH = 16  # nesting; the deepest legal message has 4
SDP_BYTES = 64 * 1024  # aiortc's parser is quadratic: 1 MiB of ssrc lines stalls it for 43 s
SDP_LINE_BYTES = 2048
SDP_MEDIA_SECTIONS = 4  # protocol.md: the input may be any of the first four
SDP_CANDIDATES = 32  # each is probed: more would make the server a packet cannon
SDP_SSRC_LINES = 64
SDP_CODEC_LINES = 500  # of one kind; browsers send up to 100 in each section, and 3000 stall aiortc for 1.7 s
OFFER_BYTES = 160 * 1024  # an offer escaped as JSON, with settings beside it
IMAGE_BYTES = 8 * 1024 * 1024  # one picture on /ws: a 1080p PNG with alpha needs up to 8 MB
WS_MESSAGE_BYTES = 16 * 1024 * 1024  # above this the socket is closed (1009) without reading on
SERVER_MESSAGE_BYTES = 16 * 1024  # what any WebRTC peer can take

MESSAGES_PER_SECOND = 50.0  # control messages of one connection
MESSAGES_BURST = 100.0
DATA_CHANNEL_LABEL = "control"

CONNECT_TIMEOUT = 15.0  # seconds from the answer to a connection; aiortc itself waits a minute or for ever
CLOSE_TIMEOUT = 5.0  # seconds for a peer connection to close
STOP_TIMEOUT = CLOSE_TIMEOUT + 1.0  # seconds for all sessions to end when the server stops: they do so side by side
HURRIED_STOP_TIMEOUT = 1.0  # the same, from the second signal
REQUEST_CLOSE_TIMEOUT = 1.0  # seconds for a request in flight once all sessions have ended; twice, if it is deaf
GATHER_TIMEOUT = 6.0  # seconds to make an answer
STUN_GATHER_TIMEOUT = 0.5  # seconds for a STUN server to say our address: one repetition of the question
RELAY_GATHER_TIMEOUT = 2.0  # seconds for a TURN server to give an address: up to four round trips, and TLS
NO_INPUT_AFTER = 2.0  # seconds without a picture
STALL_AFTER = 0.5  # seconds without a fresh frame before the track sends something else
FRAME_OLD = 5.0  # seconds of input without a painted frame before the server is not ready
LOOP_TICK = 0.1  # seconds between the looks at the event loop's clock
LOOP_TICK_OLD = 1.0  # seconds without a tick before the server is not well
LOOP_LAG_WINDOW = 60.0  # seconds over which the lag of the ticks is told
PASS_THROUGH_AFTER = 2.0  # seconds without a painted frame before the camera picture is shown instead
APPLY_TIMEOUT = 30.0  # seconds for the worker to put settings into force; a pipeline may be loaded for them
FAILURE_SHOWN = 60.0  # seconds for which everybody's status tells of a model that could not be loaded
STATUSES_PER_SECOND = 4.0  # while a model is being loaded; more than a reader of a progress bar can see
SETTINGS_WAITING = 32  # settings messages of a session that wait for their turn
TOMBSTONE_SECONDS = 300.0  # how long an ended session is remembered, so that DELETE may be repeated
TOMBSTONES = 10_000
VIEWERS_PER_SESSION = 16  # each costs some 2 % of a core, and its own bit rate of uplink
WS_HEARTBEAT = 10.0  # seconds between pings on /ws
