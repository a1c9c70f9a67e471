"""Every limit on what a client may send or hold: name, value, unit, reason."""

from __future__ import annotations

JSON_BYTES = 64 * 1024  # one message or HTTP body; the longest legal settings need 50 kB
JSON_DEPTH = 16  # nesting; the deepest legal message has 4
SDP_BYTES = 64 * 1024  # aiortc's parser is quadratic: 1 MiB of ssrc lines stalls it for 43 s
SDP_LINE_BYTES = 2048  # characters of one line; browsers need 200
SDP_MEDIA_SECTIONS = 4  # protocol.md: the input may be any of the first four
SDP_CANDIDATES = 32  # of UDP; each is probed: more would make the server a packet cannon
SDP_MDNS_NAMES = 8  # names that are looked up, a multicast question each; a browser has one for each of its addresses
SDP_SSRC_LINES = 64  # aiortc looks through all it has for each; browsers send up to 12 in a section
SDP_CODEC_LINES = 500  # of one kind; browsers send up to 100 in each section, and 3000 stall aiortc for 1.7 s
SDP_FEEDBACK_FOR_ALL = 16  # lines `a=rtcp-fb:*`; aiortc copies each to all codecs: 500 to 500 stall it for 2 s
CANDIDATE_PORT_MIN = 1024  # below it are services, not browsers; 80 and 443 of a public address are TURN servers
OFFER_BYTES = 160 * 1024  # an offer escaped as JSON, with settings beside it
IMAGE_BYTES = 8 * 1024 * 1024  # one picture on /ws: a 1080p PNG with alpha needs up to 8 MB
WS_MESSAGE_BYTES = 16 * 1024 * 1024  # above this the socket is closed (1009) without reading on
SERVER_MESSAGE_BYTES = 16 * 1024  # what any WebRTC peer can take

MESSAGES_PER_SECOND = 50.0  # control messages of one connection
MESSAGES_BURST = 100.0  # at once
MESSAGE_ID_CHARS = 64  # of a message's own id, which is echoed
MODEL_KEY_CHARS = 100  # a key is one of a list, whose longest are an owner and a name

DATA_CHANNEL_LABEL = "control"  # of the one that is served
SCTP_CHUNKS_AHEAD = 1024  # of data that came before what is missing: a window of full ones has 900, and all are sorted

CONNECT_TIMEOUT = 15.0  # seconds from the answer to a connection; aiortc itself waits a minute or for ever
CLOSE_TIMEOUT = 5.0  # seconds for a peer connection to close
GATHER_TIMEOUT = 6.0  # seconds to make an answer
STUN_GATHER_TIMEOUT = 0.5  # seconds for a STUN server to say our address: one repetition of the question
RELAY_GATHER_TIMEOUT = 2.0  # seconds for a TURN server to give an address: up to four round trips, and TLS
NO_INPUT_AFTER = 2.0  # seconds without a picture
STALL_AFTER = 0.5  # seconds without a fresh frame before the track sends something else
PASS_THROUGH_AFTER = 2.0  # seconds without a painted frame before the camera picture is shown instead
APPLY_TIMEOUT = 30.0  # seconds for the worker to put settings into force; a pipeline may be loaded for them
FAILURE_SHOWN = 60.0  # seconds for which everybody's status tells of a model that could not be loaded
STATUSES_PER_SECOND = 4.0  # while a model is being loaded; more than a reader of a progress bar can see
SETTINGS_WAITING = 32  # settings messages of a session that wait for their turn
TOMBSTONE_SECONDS = 300.0  # how long an ended session is remembered, so that DELETE may be repeated
TOMBSTONES = 10_000  # of them that are remembered
VIEWERS_PER_SESSION = 16  # each costs some 2 % of a core, and its own bit rate of uplink
WS_HEARTBEAT = 10.0  # seconds between pings on /ws
