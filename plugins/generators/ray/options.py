"""What a recipe says of work that is spread over a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from siked_core import Options

PATIENCE_S = 300


class Wrapped(Options):
    """The plugin whose work is spread: `vllm`, `vllm:MODEL`, or `{name: vllm, options: {...}}`."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, colon, model = value.partition(":")
        return {"name": name, "options": {"model": model} if colon else {}}


class ClusterOptions(Options):
    """Where the cluster is, and how many workers of what size are asked of it."""

    address: str | None = Field(
        None,
        description="the cluster: auto (that of which this machine is a node), HOST:PORT, or local; by default what "
        "RAY_ADDRESS says, else local, a cluster on this machine that is started and ended",
    )
    workers: tuple[int, int] = Field((1, 8), description="how many: N, or [least, most], as many as there is room for")
    cpus: float = Field(1, gt=0, description="processors of each worker; what it computes with as many threads")
    startup_timeout: int = Field(
        PATIENCE_S, ge=1, description="seconds that the cluster may take until a worker has begun"
    )
    retries: int = Field(3, ge=0, description="how often work is given to another worker when one dies over it")

    @field_validator("workers", mode="before")
    @classmethod
    def _as_range(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, int) else value

    @field_validator("workers")
    @classmethod
    def _in_order(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1]:
            raise ValueError(f"{list(value)} is not [least, most] with 1 <= least <= most")
        return value

    @field_validator("address")
    @classmethod
    def _not_a_client(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("ray://"):
            raise ValueError(
                "ray:// is Ray's client, which cannot hand results on as they come; run siked on a node of the "
                "cluster, with auto or HOST:PORT (of the head, usually port 6379)"
            )
        return value


class RayOptions(ClusterOptions):
    """The generator, its model, and what each worker has of the cluster."""

    generator: Wrapped = Field(
        Wrapped(name="transformers"),
        description="the generator whose work is spread: NAME, NAME:MODEL or name, options",
    )
    model: str | None = Field(None, description="handed to that generator as its option model")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = Field(
        None, description="handed to that generator, if it has an option of that name"
    )
    gpus: float | None = Field(
        None,
        ge=0,
        description="GPUs of each worker; by default, on a cluster that has any, tensor_parallel times data_parallel "
        "of a generator that has these options, and none of another",
    )
    batch: int | None = Field(
        None, ge=1, description="requests that a worker gets at once; by default as many as its generator likes best"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_model(cls, value: Any) -> Any:
        """The model may be named here or with the generator; either way it is then found here."""
        if not isinstance(value, Mapping) or "generator" not in value:
            return value
        wrapped = Wrapped.model_validate(value["generator"])
        if "model" not in wrapped.options:
            return value
        model = wrapped.options["model"]
        if value.get("model") not in (None, model):
            raise ValueError(f"it names two models, {value['model']!r} and, as the generator's, {model!r}")
        return {**value, "model": model}

    @property
    def max_model_len(self) -> int | None:
        """Of the generator, where it limits the model's context."""
        return self.generator.options.get("max_model_len")
