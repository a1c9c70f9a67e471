"""Keeps the built network between starts, in the user's cache folder. What cannot be read is built again.

The file is a zip of arrays, whose checksums notice damage. Its name says what it was built from.
"""

from __future__ import annotations

import logging
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import platformdirs

from pipeline.backends.style.graph import GRAPH_VERSION, SOURCE_SHA256, StyleModel, build, styles_source

logger = logging.getLogger(__name__)

APPLICATION = "live-diffusion"


def load_model() -> StyleModel:
    """The model from the cache, or built and put there. Raises BackendUnavailable if its source is not installed."""
    path = cache_path()
    model = _read(path)
    if model is None:
        model = build(styles_source())
        _write(path, model)
    return model


def cache_path() -> Path:
    name = f"style-{SOURCE_SHA256[:16]}-v{GRAPH_VERSION}.npz"
    return Path(platformdirs.user_cache_dir(APPLICATION)) / name


def _read(path: Path) -> StyleModel | None:
    try:
        # Opened here, for numpy leaves a file open that turns out to be no zip.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return StyleModel(file["graph"].tobytes(), file["table"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("%s is damaged and is made again (%r)", path, error)
        return None


def _write(path: Path, model: StyleModel) -> None:
    """All or nothing: readers of another process see the old file or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, graph=np.frombuffer(model.graph, np.uint8), table=model.table)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        logger.info("the network is not kept in %s and will be built at each start (%r)", path, error)
