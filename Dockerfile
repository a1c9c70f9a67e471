# The server in a container: `docker build .` for any machine, `docker build --target cuda .` for NVIDIA GPUs.

FROM python:3.12-slim AS build
# For packages that have no wheel for this machine; it stays behind in this stage. Any version does.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/live-diffusion
ENV PATH=/opt/live-diffusion/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.txt ./
RUN pip install -r requirements.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY webrtc_server webrtc_server
COPY pipeline pipeline
COPY static static

FROM build AS build-cpu
RUN pip install --no-deps .

FROM build AS build-cuda
RUN pip install -c requirements.txt '.[diffusion]'

FROM python:3.12-slim AS base
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin live-diffusion
ENV PATH=/opt/live-diffusion/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /tmp
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Asks where the server listens, which need not be the loopback, and as it speaks there; whose certificate is no matter.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client as c, os, ssl; e = os.environ.get; o = {} if (e('LIVE_DIFFUSION_TLS') or 'off').lower() == 'off' else {'context': ssl._create_unverified_context()}; h = (c.HTTPSConnection if o else c.HTTPConnection)(e('LIVE_DIFFUSION_HOST') or '127.0.0.1', int(e('LIVE_DIFFUSION_PORT') or 8000), timeout=2, **o); h.request('GET', '/healthz', headers={'Host': 'localhost'}); raise SystemExit(h.getresponse().status != 200)"]
ENTRYPOINT ["live-diffusion"]
CMD ["serve"]

FROM base AS cuda
USER 0
RUN install --directory --owner=10001 /models
USER 10001
COPY --from=build-cuda /opt/live-diffusion /opt/live-diffusion
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video

FROM base AS cpu
COPY --from=build-cpu /opt/live-diffusion /opt/live-diffusion
