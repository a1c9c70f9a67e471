"""Files with every setting, each explained and commented out: `.env`, and the same in TOML."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable

from webrtc_server.config.model import PARTS
from webrtc_server.config.sources import PREFIX

_ENV_HEAD = """\
# Take away the # before what you change; the values shown are the defaults. The command line and the environment win
# over this file, .env. Names without LIVE_DIFFUSION_ work here too.
"""
_TOML_HEAD = """\
# Take away the # before what you change; the values shown are the defaults, and "" where there is none. The command
# line, the environment and .env win over this file, live-diffusion.toml.
"""


def env_example() -> str:
    return _example(_ENV_HEAD, lambda name, default: f"{PREFIX}{name.upper()}={plain(default)}")


def toml_example() -> str:
    """Without `config`, which names such a file. A list of ICE servers may also be tables, `[[ice_servers]]`."""
    return _example(_TOML_HEAD, lambda name, default: f"{name} = {_toml(default)}" if name != "config" else None)


def plain(value: object) -> str:
    """A default as it is written in an environment file; empty means unset."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value in (None, (), []) else str(value)


def _toml(value: object) -> str:
    """A default as it is written in TOML, of which JSON's texts, numbers and lists are a part."""
    return '""' if value is None else json.dumps(value)


def _example(head: str, line: Callable[[str, object], str | None]) -> str:
    blocks = [head]
    for concern, part in PARTS.items():
        blocks.append(f"# --- {concern}\n")
        for name, field in part.model_fields.items():
            setting = line(name, field.default)
            if setting is not None:
                text = textwrap.wrap(field.description or "", width=110)
                blocks.append("".join(f"# {row}\n" for row in text) + f"#{setting}\n")
    return "\n".join(blocks)
