"""What comes back, read as what it is: whatever a stranger's server sends.

A reply that is no answer is a fault (`Failure`), never a crash and never a completion. Counts of tokens that are
missing or cannot be are estimated on the high side, one token for three bytes, so that caps on spending hold.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal

from siked_core import Completion
from siked_plugins.generators.openai.asks import Ask
from siked_plugins.generators.openai.failures import Failure, Words
from siked_plugins.generators.openai.options import OpenAIOptions

MOST_TOKENS = 2_000_000
"""More than any prompt or completion has: a count above it is a wrong one."""
BYTES_PER_TOKEN = 256
"""No token is longer: a text of more than its limit's worth of such tokens is none that was asked for."""
REFUSED = {"content_filter", "refusal", "safety"}
THOUGHT = ("<think>\n", "\n</think>\n\n")
"""What is put around the reasoning that a server returns apart from the answer, as the models write it."""
FAULTS = {"abort", "error", "insufficient_system_resource"}
"""What servers write where a completion was not brought to its end."""


class Reader:
    """Reads replies."""

    def __init__(self, options: OpenAIOptions, words: Words) -> None:
        self._options, self._words = options, words
        self.estimated = 0
        """Replies whose counts were estimated."""

    def read(self, ask: Ask, content: bytes | str) -> list[Completion]:
        """The completions of a reply, one for each sample that was asked for, or fewer where it has fewer.

        Raises:
            Failure: the reply is no answer.
        """
        try:
            reply = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise Failure("fault", f"the reply is not JSON ({str(error)[:80]})") from None
        return self.completions(ask, reply)

    def completions(self, ask: Ask, reply: Any) -> list[Completion]:
        """The same of a reply that is parsed.

        Raises:
            Failure: the reply is no answer.
        """
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if not isinstance(choices, list) or not choices:
            said = self._words.of_body(reply) if isinstance(reply, dict) else ""
            raise Failure("fault", f"the reply has no choices{f' ({said})' if said else ''}")
        read = [self._choice(ask, choice) for choice in choices[: ask.wanted]]
        counts = self._counts(ask, reply.get("usage"), [text for text, _, _ in read])
        return [
            Completion(text, self._ended(finish, out, ask), inside, out, logprob)
            for (text, finish, logprob), (inside, out) in zip(read, counts, strict=True)
        ]

    def _choice(self, ask: Ask, choice: Any) -> tuple[str, str | None, float | None]:
        """Text, how it ended in the server's words, log-probability."""
        if not isinstance(choice, dict):
            raise Failure("fault", "a choice of the reply is no object")
        finish = choice.get("finish_reason")
        finish = finish if isinstance(finish, str) else None
        if finish in FAULTS:
            raise Failure("fault", f"the server broke off (finish_reason {finish!r})")
        if self._options.endpoint == "chat":
            message = choice.get("message")
            if not isinstance(message, dict):
                raise Failure("fault", "a choice of the reply has no message")
            text = _text(message.get("content"))
            if text is None and message.get("content") is None:
                refusal = message.get("refusal")
                text, finish = "", "refusal" if isinstance(refusal, str) and refusal else finish
            thought = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
            if thought and text is not None:  # a server that takes it out of the answer; it was paid for
                text = f"{THOUGHT[0]}{thought}{THOUGHT[1]}{text}" if text else f"{THOUGHT[0]}{thought}"
        else:
            text = _text(choice.get("text"))
        if text is None:
            raise Failure("fault", "a choice of the reply has no text")
        if len(text) > (ask.max_tokens + 1) * BYTES_PER_TOKEN:
            raise Failure("fault", f"a text of {len(text):,} characters for at most {ask.max_tokens} tokens")
        prefix = ask.requests[0].prompt.prefix
        if prefix and self._options.prefill == "last_message":  # some servers repeat it, some do not
            text = text.removeprefix(prefix)
        return text, finish, self._logprob(choice.get("logprobs"))

    def _logprob(self, found: Any) -> float | None:
        if not self._options.logprobs or not isinstance(found, dict):
            return None
        if self._options.endpoint == "chat":
            tokens = found.get("content")
            values: list[Any] = [one.get("logprob") if isinstance(one, dict) else one for one in _list(tokens)]
        else:
            values = _list(found.get("token_logprobs"))
        if not values or not all(
            type(value) in (int, float) and math.isfinite(value) and value <= 1e-3 for value in values
        ):
            return None
        return float(sum(values))

    def _counts(self, ask: Ask, usage: Any, texts: list[str]) -> list[tuple[int, int]]:
        """(prompt, completion) tokens of each sample; what the reply counts for all of them is shared out."""
        usage = usage if isinstance(usage, dict) else {}
        inside, out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        sizes = [len(text.encode()) for text in texts]
        if out == 0 and any(texts):
            out = None
        if not inside or out is None:
            self.estimated += 1
        if not inside:
            inside = 8 * (1 + len(ask.requests[0].prompt.messages)) + math.ceil(ask.prompt_bytes / 3)
        shares = [math.ceil(size / 3) for size in sizes] if out is None else _shared(out, [size + 1 for size in sizes])
        return list(zip(_shared(inside, [1] * len(texts)), shares, strict=True))

    @staticmethod
    def _ended(finish: str | None, tokens: int, ask: Ask) -> Literal["stop", "length", "refused"]:
        if finish in REFUSED:
            return "refused"
        if finish == "length" or (finish is None and tokens >= ask.max_tokens):
            return "length"
        return "stop"


def _text(content: Any) -> str | None:
    """A message's text; of one in parts, all of its texts. None where it is none."""
    if isinstance(content, list):
        parts: list[Any] = [
            part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
        ]
        content = "".join(parts) if parts and all(isinstance(part, str) for part in parts) else None
    if not isinstance(content, str):
        return None
    return content.encode("utf-8", "replace").decode()  # half a surrogate pair can be in JSON, but not on disk


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _shared(total: int, sizes: list[int]) -> list[int]:
    """A total in shares as the sizes are, in whole numbers that sum up to it."""
    shares, left, of = [], total, sum(sizes)
    for size in sizes:
        share = round(left * size / of) if of else 0
        shares.append(share)
        left, of = left - share, of - size
    return shares
