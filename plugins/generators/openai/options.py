"""The options of the `openai` generator, and what they must not hold: a recipe is stored, shared and shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from siked_core import ModelError, Options

DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_CREDENTIAL_NAME = re.compile(
    r"(api|access|secret|private|auth|bearer)[-_ ]?(key|token)|secret|passw|authori[sz]ation|bearer|credential"
    r"|^(key|token|auth)$",
    re.IGNORECASE,
)
_CREDENTIAL_VALUE = re.compile(r"(bearer\s|(sk|gsk|hf|xai|nvapi|key|pk|AIza)[-_]?)[A-Za-z0-9_-]{16,}", re.IGNORECASE)
SET_ELSEWHERE = {
    "model": "by the option model",
    "messages": "by siked",
    "prompt": "by siked",
    "stream": "by siked",
    "stop": "by siked",
    "seed": "by siked, for every sample its own (leave it out with omit)",
    "n": "by the option n",
    "logprobs": "by the option logprobs",
    "temperature": "by the recipe, e.g. teacher.temperature",
    "top_p": "by the recipe, e.g. teacher.top_p",
    "max_tokens": "by the recipe, e.g. teacher.max_tokens",
    "max_completion_tokens": "by the recipe; the option max_tokens_name says what the server calls it",
}


class OpenAIOptions(Options):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    model: str = Field(min_length=1, description="the model's name at the server; a folder here is known by its files")
    base_url: str | None = Field(
        None, description="where the server is, e.g. http://localhost:8000/v1; none: OPENAI_BASE_URL, or api.openai.com"
    )
    api_key_env: str | None = Field(
        None,
        description="NAME of the environment variable that holds the key; none: OPENAI_API_KEY where base_url is not "
        "given, and no key where it is",
    )
    endpoint: Literal["chat", "completions"] = Field(
        "chat", description="chat: the server renders the conversation; completions: siked does, by the tokenizer"
    )
    prefill: Literal["none", "continue_final_message", "last_message"] = Field(
        "none",
        description="how a chat server is made to begin with a strategy's tag: it cannot; vLLM's field; or by a last "
        "message of the assistant's, as llama.cpp does",
    )
    tokenizer: str | None = Field(
        None, description="completions: model folder or hub name whose chat template renders prompts; none: model"
    )
    prompt_as: Literal["tokens", "text"] = Field(
        "tokens", description="completions: prompts as token ids, exactly as in training, or as text"
    )
    revision: str = Field(
        "", description="tells apart what is served under one name, such as a quantisation: part of a sample's key"
    )
    extra: dict[str, Any] = Field(
        default_factory=dict, description="further fields of the request's body, e.g. {top_k: 20}; never a secret"
    )
    omit: tuple[Literal["temperature", "top_p", "seed"], ...] = Field(
        (), description="fields that the server does not take, to be left out"
    )
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="what the server calls the limit of new tokens"
    )
    logprobs: bool = Field(False, description="ask for log-probabilities, and keep their sum")
    n: int = Field(1, ge=1, le=128, description="samples of one prompt that are asked for in one request, billed once")
    concurrency: int = Field(16, ge=1, le=1024, description="requests at once, at most; fewer while the server is busy")
    timeout: float = Field(600, gt=0, description="seconds that one attempt may take, from first byte to last")
    retries: int = Field(5, ge=0, description="further attempts of a request that failed by no fault of its own")
    patience: float = Field(900, gt=0, description="seconds without any answer after which a busy server is given up")
    skip_failing: bool = Field(
        False, description="record a request that fails in all attempts as refused, instead of stopping the run"
    )
    batch: bool = Field(False, description="use the provider's batch API: cheaper, and slower")
    batch_size: int = Field(10_000, ge=1, le=50_000, description="samples in a batch, at most")
    poll: float = Field(30, gt=0, description="seconds between two looks at a batch")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Of the whole, not of single fields: what is told of a bad field shows its value, which may be a secret."""
        self._check_base_url()
        if self.api_key_env is not None and not _VARIABLE.fullmatch(self.api_key_env):
            raise ValueError(
                "api_key_env must be the NAME of an environment variable, in capitals, such as OPENAI_API_KEY; never "
                "the key itself"
            )
        place = credential_in("extra", self.extra)
        if place:
            raise ValueError(
                f"'{place}' looks like a credential; a recipe is stored and shared. Put the key into an "
                "environment variable and name that in api_key_env"
            )
        for name in self.extra.keys() & SET_ELSEWHERE.keys():
            raise ValueError(f"extra must not have '{name}', which is set {SET_ELSEWHERE[name]}")
        if self.endpoint == "completions" and self.prefill != "none":
            raise ValueError("prefill is for the endpoint chat; completions can begin with any words as it is")
        if self.endpoint == "chat" and (self.tokenizer is not None or self.prompt_as != "tokens"):
            raise ValueError("tokenizer and prompt_as are for the endpoint completions; a chat server has its own")
        return self

    def _check_base_url(self) -> None:
        if self.base_url is None:
            return
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must be a URL such as http://localhost:8000/v1 or https://api.example.com/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "base_url must not hold a user, a password or a query: a recipe is stored and shared. Keys come from "
                "the environment (api_key_env)"
            )

    @property
    def key_variable(self) -> str | None:
        """The environment variable that is to hold the key. A key is never sent to a server that it was not named for:
        where `base_url` is given, the default variable is not read."""
        return self.api_key_env or (DEFAULT_KEY_VARIABLE if self.base_url is None else None)

    def key(self) -> str:
        """The key, or "none" for a server that needs none.

        Raises:
            ModelError: the variable is not set, or holds what cannot be a key.
        """
        variable = self.key_variable
        if variable is None:
            return "none"
        key = os.environ.get(variable, "").strip()
        if not key:
            raise ModelError(
                f"The environment variable {variable} is not set; it is to hold the key of the server of "
                f"'{self.model}'. Set it, or name another with api_key_env; a local server is named with base_url "
                "(e.g. http://localhost:8000/v1) and needs none."
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ModelError(f"What the environment variable {variable} holds cannot be a key: it is not plain ASCII.")
        return key


def credential_in(place: str, value: Any) -> str:
    """Where in nested lists and mappings there is what looks like a credential, by its name or as it is; or empty."""
    found = (at for at, name, held in _walk(place, value) if _CREDENTIAL_NAME.search(name) or _looks_secret(held))
    return next(found, "")


def _walk(place: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    """(place, name, value) of everything in nested lists and mappings."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{place}.{name}", str(name), inner
            yield from _walk(f"{place}.{name}", inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield f"{place}[{number}]", "", inner
            yield from _walk(f"{place}[{number}]", inner)


def _looks_secret(value: Any) -> bool:
    if not isinstance(value, str) or len(value) < 8:
        return False
    held = (content.strip() for name, content in os.environ.items() if _CREDENTIAL_NAME.search(name))
    return bool(_CREDENTIAL_VALUE.match(value)) or value.strip() in held
