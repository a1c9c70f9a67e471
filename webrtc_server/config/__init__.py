"""What the process is told: one frozen model of settings, and where their values come from.

Command line > environment (`LIVE_DIFFUSION_PORT`) > `.env` (`LIVE_DIFFUSION_PORT`, then the bare `PORT`) >
`live-diffusion.toml` (`port`) > default. Documents, `.env.example` and the example in TOML are made from the model.
"""

from webrtc_server.config.model import PARTS, Config
from webrtc_server.config.sources import (
    ENV_FILE,
    PREFIX,
    TOML_FILE,
    InvalidConfig,
    Sources,
    forget_secrets,
    load,
    unknown_names,
)

__all__ = [
    "ENV_FILE",
    "PARTS",
    "PREFIX",
    "TOML_FILE",
    "Config",
    "InvalidConfig",
    "Sources",
    "forget_secrets",
    "load",
    "unknown_names",
]
