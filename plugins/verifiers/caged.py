"""What the verifiers that run code have in common: their limits as options, and one pool, started when first used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from siked_core import Options, SikedError
from siked_core.errors import VerifierFault

if TYPE_CHECKING:
    from siked_core.sandbox import Outcome


class CagedOptions(Options):
    """What one program may use, and how many run at once."""

    timeout_s: float = Field(10.0, gt=0, le=3_600, description="seconds for one program")
    memory_mib: int = Field(256, ge=16, le=65_536, description="memory for one program, in MiB")
    output_kib: int = Field(64, ge=1, le=16_384, description="what one program may print, in KiB")
    workers: int | None = Field(None, ge=1, le=16, description="programs at once; by default one per processor")
    allow_unsafe_exec: bool = Field(
        False, description="run model-written programs even where they cannot be caged (macOS): a risk to this machine"
    )


class CagedRunner:
    """Runs programs for a verifier. Starts nothing until there is something to run."""

    def __init__(self, options: CagedOptions, *, fast: bool = False) -> None:
        from siked_core.sandbox import Limits, ProgramPool

        self._pool = ProgramPool(
            Limits(options.timeout_s, options.memory_mib, options.output_kib),
            options.workers,
            allow_unsafe=options.allow_unsafe_exec,
            fast=fast,
        )

    def run(self, programs: Sequence[str]) -> list[Outcome]:
        """Run each program, in order.

        Raises:
            SandboxError: this machine cannot cage programs.
            VerifierFault: the sandbox itself failed.
        """
        if not programs:
            return []
        try:
            return self._pool.run(programs)
        except SikedError:
            raise
        except Exception as error:
            raise VerifierFault(f"the sandbox failed on a batch of {len(programs)} programs: {error!r}") from error

    def close(self) -> None:
        """End the pool's processes."""
        self._pool.close()
