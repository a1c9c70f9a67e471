"""Who can use the server, and whether browsers give its page a camera."""

from __future__ import annotations

from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, problem, warning
from webrtc_server.diagnosis.model_cache import why_not_writable
from webrtc_server.web.tls import BadCertificate, certificate_names, context_for, is_kept, own_folder


def exposure(config: Config) -> list[Finding]:
    """Nothing of the token itself is told. `config.load` refuses to listen for everybody unless that is meant."""
    token = "a token is asked for" if config.auth_token else "no token is asked for"
    if config.is_local:
        return [ok(f"only this machine reaches {config.host}; {token}")]
    if config.auth_token:
        return [ok(f"other machines reach {config.host}; {token}")]
    return [
        warning(
            f"whoever reaches {config.host} may use the server; {token}",
            "Set LIVE_DIFFUSION_AUTH_TOKEN, unless the network or a proxy says who comes.",
        )
    ]


def camera(config: Config) -> list[Finding]:
    """Browsers have cameras for secure contexts only: https, and http on localhost (W3C Secure Contexts, 3.1)."""
    if config.scheme == "https":
        try:
            if config.tls_files:  # else one is made at the start, and a doctor makes nothing
                context_for(config)
        except BadCertificate as error:
            return [problem(str(error), "Set LIVE_DIFFUSION_TLS to auto, or to files that are good: CERT,KEY.")]
        if not config.tls_files and (why := _why_none_is_made(config)):
            return [problem(why, "Make that folder writable, or set LIVE_DIFFUSION_TLS to files: CERT,KEY.")]
        return [ok("the page is served over https: browsers give it the camera")]
    if config.is_local:
        opened = f"open http://localhost:{config.port}: " if config.port else ""
        return [ok(f"{opened}browsers give pages of localhost the camera")]
    but = "; localhost gets it" if config.is_everywhere else ""
    return [
        warning(
            f"over plain http other devices' browsers give the page no camera{but}",
            "Start with --tls auto, or put a proxy with a certificate in front (docs/howto/phone.md).",
        )
    ]


def _why_none_is_made(config: Config) -> str | None:
    """Why there is no certificate of this server's own and the start cannot make one; None else."""
    folder = own_folder()
    if is_kept(folder, certificate_names(config)[0]) or (why := why_not_writable(folder)) is None:
        return None
    return f"no certificate can be kept in {folder}: {why}"
