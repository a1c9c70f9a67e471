"""Prompts to embeddings, away from the painting thread, through a cache of those last used.

A text is encoded by one thread of its own, so that no frame waits for it; who has asked looks again with each frame.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from pipeline.backends.diffusion.device import Device
from pipeline.backends.diffusion.live import Conditioning
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

CACHED_PROMPTS = 256  # embeddings of 158 KB each in half precision: 40 MB

Texts = tuple[tuple[str, float], ...]


class Prompts:
    """Shared by all sessions of a model. `close` waits for the encoding that has begun."""

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401
        text_encoder: Any,  # noqa: ANN401
        device: Device,
        executor: Executor | None = None,
    ) -> None:
        """`executor` is where texts are encoded; None: in a thread of its own."""
        self._tokenizer = tokenizer
        self._encoder = text_encoder
        self._device = device
        self._cached: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()  # of the cache
        self._tokenizing = threading.Lock()  # a fast tokenizer refuses a second thread
        self._executor = executor or ThreadPoolExecutor(1, "prompts")
        self.empty = Conditioning(self.encode(""), self.encode(""))

    def wanted(self, settings: Settings) -> Future[Conditioning]:
        """The conditioning that `settings` ask for: done already if all its texts are cached."""
        positive = tuple((prompt.text, prompt.weight) for prompt in settings.weighted_prompts)
        negative = settings.negative_prompt
        known = self._lookup(*(text for text, _ in positive), negative)
        if known is not None:
            done: Future[Conditioning] = Future()
            done.set_result(self._conditioning(positive, known))
            return done
        return self._executor.submit(self._encode_all, positive, negative)

    def is_cut(self, text: str) -> bool:
        """Whether the model reads the beginning of `text` only."""
        with self._tokenizing:
            longest: int = self._tokenizer.model_max_length
            # One token more than fits tells; without a limit the tokenizer would warn of what is asked here.
            tokens: list[int] = self._tokenizer(text, truncation=True, max_length=longest + 1).input_ids
        return len(tokens) > longest

    def encode(self, text: str) -> Tensor:
        """(1, tokens, width) on the model's device; from the cache if it is there. May take seconds on a CPU."""
        if known := self._lookup(text):
            return known[0]
        with self._tokenizing:
            ids = self._tokenizer(
                text,
                padding="max_length",
                max_length=self._tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            ).input_ids
        with torch.no_grad():
            embeds = self._embeds(ids)
        if not embeds.isfinite().all():
            raise ArithmeticError("the text encoder gave values that are no numbers")
        with self._lock:
            self._cached[text] = embeds
            while len(self._cached) > CACHED_PROMPTS:
                self._cached.popitem(last=False)
        return embeds

    def adopt(self, conditioning: Conditioning) -> None:
        """It is used in the lane that this is called in from now on."""
        for embeds in conditioning:
            self._device.adopt(embeds)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)

    def _encode_all(self, positive: Texts, negative: str) -> Conditioning:
        embeds = [self.encode(text) for text in (*(text for text, _ in positive), negative)]
        with self._device.lane("prompts"):
            conditioning = self._conditioning(positive, embeds)
            self._device.mark().synchronize()
        return conditioning

    def _conditioning(self, positive: Texts, embeds: Sequence[Tensor]) -> Conditioning:
        return Conditioning(blend(embeds[:-1], [weight for _, weight in positive]), embeds[-1])

    def _lookup(self, *texts: str) -> list[Tensor] | None:
        """The embeddings of all `texts`, or None if one is not cached."""
        with self._lock:
            if any(text not in self._cached for text in texts):
                return None
            for text in texts:
                self._cached.move_to_end(text)
            return [self._cached[text] for text in texts]

    def _embeds(self, ids: Tensor) -> Tensor:
        """In a lane of its own, so that it shares the device with the frames, and finished when it is given."""
        with self._device.lane("prompts"):
            embeds: Tensor = self._encoder(ids.to(self._device.torch_device))[0]
            self._device.mark().synchronize()
        return embeds


class Wish:
    """What one session wants its picture to be of; only its newest wish counts. `poll` with each frame."""

    def __init__(self, prompts: Prompts, settings: Settings) -> None:
        self._prompts = prompts
        self.failed = False  # the newest wish could not be encoded
        self._pending: Future[Conditioning] | None = prompts.wanted(settings)

    def change(self, settings: Settings) -> None:
        if self._pending:
            self._pending.cancel()  # if it has not begun
        self._pending = self._prompts.wanted(settings)

    def poll(self) -> Conditioning | None:
        """What was wished for, once, when it is there, for the lane that this is called in. Never waits, never
        raises."""
        if self._pending is None or not self._pending.done():
            return None
        pending, self._pending = self._pending, None
        error = pending.exception()
        self.failed = error is not None
        if error is not None:
            logger.error("a prompt could not be encoded: %r", error)
            return None
        wanted = pending.result()
        self._prompts.adopt(wanted)
        return wanted


def blend(embeds: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The mean of `embeds`, (1, tokens, width) each, by `weights`, which are not all 0."""
    if len(embeds) == 1:
        return embeds[0]
    total = sum(weights)
    return torch.stack([weight / total * one for one, weight in zip(embeds, weights, strict=True)]).sum(0)
