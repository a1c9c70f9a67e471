"""Every limit on what a client may send or hold: name, value, unit, reason."""

from __future__ import annotations

JSON_BYTES = 64 * 1024  # one message or HTTP body; the longest legal settings need 50 kB
JSON_DEPTH = 16  # nesting; the deepest legal message has 4
SDP_BYTES = 64 * 1024  # aiortc's parser is quadratic: 1 MiB of ssrc lines stalls it for 43 s
SDP_LINE_BYTES = 2048  # characters of one line; browsers need 200
SDP_MEDIA_SECTIONS = 4  # protocol.md: the input may be any of the first four
SDP_CANDIDATES = 32  # of UDP; each is probed: more would make the server a packet cannon
CANDIDATES = 2 * SDP_CANDIDATES  # those, and the addresses that a client's checks came from; each is a task
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
CHANNELS_PER_SECOND = 0.1  # control channels that a peer may open anew, in the long run
CHANNELS_BURST = 4.0  # at once: the first, and a page's few mishaps; each costs a reset of an SCTP stream
VIOLATIONS = 3  # of what no honest client does (too large, binary, foreign channels), until the session ends
BAD_PICTURES = 10  # in a row on /ws, until the socket is closed: each costs a look into a file

CONNECT_TIMEOUT = 15.0  # seconds from the answer to a connection; aiortc itself waits a minute or for ever
CLOSE_TIMEOUT = 5.0  # seconds for a peer connection to close
STOP_TIMEOUT = CLOSE_TIMEOUT + 1.0  # seconds for all sessions to end when the server stops: they do so side by side
HURRIED_STOP_TIMEOUT = 1.0  # the same, from the second signal
REQUEST_CLOSE_TIMEOUT = 1.0  # seconds for a request in flight once all sessions have ended; twice, if it is deaf
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
STALL_AFTER = 0.4  # seconds without a fresh frame before the track sends something else: no gap is to be over 0.5 s
FRAME_OLD = 5.0  # seconds of input without a painted frame before the server is not ready
LOOP_TICK = 0.1  # seconds between the looks at the event loop's clock
LOOP_TICK_OLD = 1.0  # seconds without a tick before the server is not well
LOOP_LAG_WINDOW = 60.0  # seconds over which the lag of the ticks is told
CLEAR_PERIOD = 2.0  # seconds, at least, between looks for what ended connections have left in memory
CLEAR_SHARE = 0.01  # of the event loop's time, at most, for those looks
PASS_THROUGH_AFTER = 2.0  # seconds without a painted frame before the camera picture is shown instead
APPLY_TIMEOUT = 30.0  # seconds for the worker to put settings into force; a pipeline may be loaded for them
FAILURE_SHOWN = 60.0  # seconds for which everybody's status tells of a model that could not be loaded
STATUSES_PER_SECOND = 4.0  # while a model is being loaded; more than a reader of a progress bar can see
SETTINGS_WAITING = 32  # settings messages of a session that wait for their turn
CLOSING_SESSIONS = 32  # ended, and not yet closed, while newcomers are let in: each still holds its sockets
TOMBSTONE_SECONDS = 300.0  # how long an ended session is remembered, so that DELETE may be repeated
TOMBSTONES = 10_000  # of them that are remembered
VIEWERS_PER_SESSION = 16  # each costs some 2 % of a core, and its own bit rate of uplink
WS_HEARTBEAT = 10.0  # seconds between pings on /ws
WS_SEND_TIMEOUT = 30.0  # seconds for a client to take one message on /ws; above it the socket is cut

CONNECTIONS = 256  # TCP connections in all, and more where MAX_SESSIONS needs it; each holds a descriptor and a task
CONNECTIONS_PER_ADDRESS = 32  # a browser opens up to six, and a household or an office may share an address
HEADERS_TIMEOUT = 10.0  # seconds for a TLS handshake, and to send the headers of a request, the first or the next
LINGER = 2.0  # seconds to read and drop what is left of a refused request, so that its answer is read; to end TLS
STARTS_PER_SECOND = 0.5  # offers, /ws and viewers of one address: a page that reconnects needs one in two seconds
STARTS_BURST = 20.0
CHANGES_PER_SECOND = 50.0  # other requests of one address that change something, as messages of one connection
CHANGES_BURST = 100.0
GUESSES_PER_SECOND = 0.2  # wrong tokens of one address: 17,000 a day
GUESSES_BURST = 10.0
ADDRESSES = 4096  # remembered of each rate; some 300 bytes each
AUTH_TOKEN_SHORTEST = 16  # characters; at 0.2 guesses a second even 8 random ones would do, but few are random
AUTH_TOKEN_LONGEST = 512
