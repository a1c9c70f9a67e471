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
CHANNELS_PER_SECOND = 0.1  # control channels that a peer may open anew, in the long run
CHANNELS_BURST = 4.0  # at once: the first, and a page's few mishaps; each costs a reset of an SCTP stream
VIOLATIONS = 3  # of what no honest client does (too large, binary, foreign channels), until the session ends
BAD_PICTURES = 10  # in a row on /ws, until the socket is closed: each costs a look into a file

CONNECT_TIMEOUT = 15.0  # seconds from the answer to a connection; aiortc itself waits a minute or for ever
CLOSE_TIMEOUT = 5.0  # seconds for a peer connection to close
GATHER_TIMEOUT = 6.0  # seconds to make an answer
STUN_GATHER_TIMEOUT = 0.5  # seconds for a STUN server to say our address: one repetition of the question
RELAY_GATHER_TIMEOUT = 2.0  # seconds for a TURN server to give an address: up to four round trips, and TLS
CLIENT_ID_LENGTH = 64  # characters
SMALLEST_SIDE = 16  # pixels of a picture that is painted: less than a block of the codecs
PENDING_OFFERS = 16  # answered, and not yet connected: each holds two sockets or so until CONNECT_TIMEOUT
MEASURED_PLACES = 8  # most places where none are configured: more sessions than one event loop carries well
PLACE_FPS = 10.0  # frames a second that a place is to have at least, where places are measured
QUEUED_FPS = 10.0  # frames a second of their camera for those in line, so that they cost those who are painted little
REST_AFTER = 6.0  # seconds without picture and message until the worker is freed of a session
SILENCE_END = 30.0  # the same, until the session ends
IDLE_END = 60.0  # seconds without a picture until a session ends whose camera ended, or whose place others wait for
UNUSABLE_END = 3.0  # seconds of pictures of nothing but unusable sizes until the session ends
JOIN_TIMEOUT = 2.0  # seconds that pictures wait for a ready worker to take their session, before they pass unpainted
NO_INPUT_AFTER = 2.0  # seconds without a picture
STALL_AFTER = 0.5  # seconds without a fresh frame before the track sends something else
PASS_THROUGH_AFTER = 2.0  # seconds without a painted frame before the camera picture is shown instead
APPLY_TIMEOUT = 30.0  # seconds for the worker to put settings into force; a pipeline may be loaded for them
FAILURE_SHOWN = 60.0  # seconds for which everybody's status tells of a model that could not be loaded
STATUSES_PER_SECOND = 4.0  # while a model is being loaded; more than a reader of a progress bar can see
SETTINGS_WAITING = 32  # settings messages of a session that wait for their turn
CLOSING_SESSIONS = 32  # ended, and not yet closed, while newcomers are let in: each still holds its sockets
TOMBSTONE_SECONDS = 300.0  # how long an ended session is remembered, so that DELETE may be repeated
TOMBSTONES = 10_000
VIEWERS_PER_SESSION = 16  # each costs some 2 % of a core, and its own bit rate of uplink
WS_HEARTBEAT = 10.0  # seconds between pings on /ws
WS_SEND_TIMEOUT = 30.0  # seconds for a client to take one message on /ws; above it the socket is cut
