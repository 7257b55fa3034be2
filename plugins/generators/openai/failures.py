"""What can go wrong with a request, and what is to be done about it. No key gets into a message.

- busy: the server turns requests away (429, 503, 529). Wait, send fewer at once, and send it again.
- fault: the server or the way to it failed (a lost connection, a timeout, 5xx, a reply that is none). Send it again.
- refused: the server will not answer this request (400, 403, 413, 422): too long, filtered, or a mistake in the recipe.
- fatal: no request will be answered (401, 402, 404, no credit). Stop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from siked_core import ModelError
from siked_plugins.generators.openai.options import OpenAIOptions
from siked_plugins.generators.openai.pace import retry_after

BUSY = {429, 503, 529}
FATAL = {401, 402, 404, 405}
NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
SHOWN = 240
_KEY_LIKE = re.compile(r"(?i)\b(sk|gsk|hf|xai|nvapi|pk|key)[-_][\w*.-]{6,}|\bbearer\s+\S+")


class Failure(Exception):  # noqa: N818 - what became of an attempt, for whoever decides whether there is another
    """An attempt that brought no answer."""

    def __init__(self, kind: Literal["busy", "fault", "refused", "fatal"], why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.kind, self.why, self.wait = kind, why, wait


class Words:
    """Puts failures into words that hold no key."""

    def __init__(self, options: OpenAIOptions, key: str) -> None:
        self._options, self._key = options, key

    @property
    def server(self) -> str:
        return self._options.base_url or "the server"

    def clean(self, text: object) -> str:
        """A server's words: one short line, without anything that is or looks like a key."""
        said = str(text)
        if len(self._key) >= 8:
            said = said.replace(self._key, "***")
        said = _KEY_LIKE.sub("***", said[:10_000])
        said = "".join(character if character.isprintable() else " " for character in said)
        said = " ".join(said.split())
        return said if len(said) <= SHOWN else said[:SHOWN].rstrip() + " ..."

    def failure(self, error: Exception) -> Failure:
        """What an exception of the client's means.

        Raises:
            Exception: the error itself, where it is none of the network's: a bug.
        """
        import httpx2
        import openai

        if isinstance(error, Failure):
            return error
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return Failure("fault", f"no whole answer within {self._options.timeout:g} seconds (timeout)")
        if isinstance(error, openai.APIStatusError):
            return self.status(int(error.status_code), error.body or error.message, error.response.headers)
        if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):  # the latter while a file is read
            cause = error.__cause__
            why = f"{type(cause).__name__}: {self.clean(cause)}" if cause else "no connection"
            return Failure("fault", f"the connection failed ({why.removesuffix(': ')})")
        if isinstance(error, openai.OpenAIError | ValueError | RecursionError):  # of its reading a reply as JSON
            return Failure("fault", self.clean(error) or type(error).__name__)
        raise error

    def status(self, status: int, body: object, headers: Mapping[str, str]) -> Failure:
        """What a status from 300 on means."""
        said = self.of_body(body).rstrip(". ")
        why = f"HTTP {status}" + (f": {said}" if said else "")
        if status == 401:  # servers repeat a part of the key here
            variable = self._options.key_variable
            remedy = (
                f"Set the environment variable {variable} to a key that is valid there"
                if variable
                else "Name the environment variable that holds its key with api_key_env"
            )
            return Failure("fatal", f"HTTP 401: {self.server} does not accept the key. {remedy}")
        if status == 429 and _code(body) in NO_CREDIT:
            return Failure("fatal", f"{why}. The account has no credit left, which waiting does not change")
        if status in BUSY:
            return Failure("busy", why, retry_after(headers))
        if status == 404:
            return Failure(
                "fatal",
                f"{why}. There is no model '{self._options.model}' at {self.server}, or base_url is not where its API "
                "begins (it mostly ends in /v1)",
            )
        if status in FATAL or 300 <= status < 400:
            return Failure("fatal", why)
        if status in (408, 409, 425) or status >= 500:
            return Failure("fault", why)
        return Failure("refused", why)

    def of_body(self, body: object) -> str:
        """What an error's body says: `{"message": ...}`, perhaps inside `error`; FastAPI's `detail`; or all of it."""
        if isinstance(body, dict):
            inner = body.get("error", body)
            if isinstance(inner, dict):
                inner = inner.get("message") or inner.get("detail") or inner.get("code") or inner
            return self.clean(inner) if inner else ""
        return "" if body is None or "<" in str(body)[:100] else self.clean(body)  # no pages in HTML

    def stopped(self, why: str) -> ModelError:
        """The error that ends the command."""
        return ModelError(
            f"The model '{self._options.model}' at {self.server} cannot be asked: {why}. What was answered is "
            "kept, and the same command goes on from there."
        )


def _code(body: object) -> str:
    inner = body.get("error", body) if isinstance(body, dict) else None
    return str(inner.get("code")) if isinstance(inner, dict) else ""
