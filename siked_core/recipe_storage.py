"""The section of a recipe that says where samples and verdicts are kept."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import Field, model_validator

from siked_core.remote import LOCAL, has_password, secret_option
from siked_core.section import Section

_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s?#*\[\]]+", re.IGNORECASE)


class StorageRecipe(Section):
    pools: str | None = None
    """A URL under which samples and verdicts are kept, in a folder of the run's name, e.g. "s3://bucket/prefix", or
    "file:///mnt/shared" for a folder; null: in the run's directory."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of fsspec's file system for that URL, e.g. `{endpoint_url: "https://..."}`. Never credentials: they are taken
    from the environment or from the store's own files."""

    @model_validator(mode="after")
    def _names_a_place(self) -> Self:
        # On the whole section, so that no message repeats what may hold a password.
        if self.pools is not None and has_password(self.pools):
            raise ValueError(
                "pools has a password in its URL; credentials are taken from the environment or the store's own files"
            )
        if self.pools is not None and ("::" in self.pools or not _URL.fullmatch(self.pools)):
            raise ValueError(
                "pools must be a URL such as s3://bucket/prefix or file:///mnt/shared, with none of ?, #, *, [ and ::"
            )
        if self.pools is not None and self.pools.partition("://")[0] in LOCAL and ":///" not in self.pools:
            raise ValueError("pools must name a folder from its root, as file:///mnt/shared does")
        secret = secret_option(self.options)
        if secret is not None:
            raise ValueError(
                f"the option '{secret}' looks like a secret, and a recipe is stored and published; give it to the "
                "environment or the store's own files (for S3, AWS_SECRET_ACCESS_KEY or ~/.aws)"
            )
        return self
