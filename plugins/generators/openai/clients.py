"""The official client, made ready: imported when first needed, without retries of its own, its replies limited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from siked_core import PluginError
from siked_plugins.generators.openai.failures import Failure
from siked_plugins.generators.openai.options import OpenAIOptions

LARGEST_REPLY = 16 << 20
"""Bytes. A server that sends more is broken or hostile."""
CONNECT_S = 20.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""No proxy that the environment names can reach a server on this machine."""


def library() -> Any:
    """The module `openai`.

    Raises:
        PluginError: it is not installed.
    """
    try:
        import openai
    except ImportError as error:
        raise PluginError(
            f"The generators 'openai' and 'vllm' need OpenAI's client, which cannot be imported ({error}). Install it "
            "with siked's extra: pip install 'siked[openai]'."
        ) from None
    return openai


def live_client(options: OpenAIOptions, key: str, socket: Path | None = None) -> Any:
    """A client for single requests. It does not retry: whether and when to send again is decided for all together.

    Args:
        socket: a Unix socket at which the server listens, instead of at the host and port of `base_url`.
    """
    openai = library()
    from openai import DEFAULT_CONNECTION_LIMITS, DefaultAsyncHttpxClient, Timeout

    more: dict[str, Any] = {}
    if socket is not None:
        import httpx2

        more["transport"] = httpx2.AsyncHTTPTransport(uds=str(socket), limits=DEFAULT_CONNECTION_LIMITS)
    return openai.AsyncOpenAI(
        **_common(options, key),
        max_retries=0,
        timeout=Timeout(options.timeout, connect=min(CONNECT_S, options.timeout)),
        http_client=DefaultAsyncHttpxClient(
            event_hooks={"response": [_limit_hook()]},
            trust_env=urlsplit(options.base_url or "").hostname not in LOOPBACK,
            **more,
        ),
    )


def batch_client(options: OpenAIOptions, key: str) -> Any:
    """A client for files and batches. It does not retry either: a batch that was made twice is paid twice."""
    openai = library()
    return openai.OpenAI(**_common(options, key), max_retries=0, timeout=options.timeout)


def _common(options: OpenAIOptions, key: str) -> dict[str, Any]:
    # Compressed replies could grow without limit as they are read.
    return {"api_key": key, "base_url": options.base_url, "default_headers": {"Accept-Encoding": "identity"}}


def _limit_hook() -> Any:
    import httpx2

    class Limited(httpx2.AsyncByteStream):
        """A reply's bytes, up to a limit."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for block in self._inner:
                size += len(block)
                if size > LARGEST_REPLY:
                    raise Failure("fault", f"the reply is larger than {LARGEST_REPLY >> 20} MiB")
                yield block

        async def aclose(self) -> None:
            await self._inner.aclose()

    async def limit(response: Any) -> None:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise Failure("fault", "the reply is compressed, which was not asked for")
        response.stream = Limited(response.stream)

    return limit
