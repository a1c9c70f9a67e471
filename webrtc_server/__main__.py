"""`python -m webrtc_server` is the command `live-diffusion`."""

from webrtc_server.cli.main import main

if __name__ == "__main__":
    main()
