"""The server: HTTP, WebRTC, sessions and the page. The pictures are painted by the package `pipeline`."""

__version__ = "0.1.0"
