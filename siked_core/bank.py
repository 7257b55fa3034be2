"""Prompt banks: a strategy's instruction, template and worked examples, in one YAML file.

instruction: Solve the problem step by step.
template: "Question: {question}"
shots:
  - question: Ann has 2 pens and buys 3 more. How many pens has she?
    answer: "5"
    completion: |
      Ann has 2 + 3 = 5 pens.
      The answer is 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from siked_core.errors import DataError
from siked_core.yaml_text import NotYaml, read_yaml


class Shot(BaseModel):
    """A worked example."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    question: str
    answer: str
    completion: str

    @field_validator("completion")
    @classmethod
    def _strip(cls, value: str) -> str:
        return value.rstrip("\n")


class _BankFile(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)

    instruction: str = ""
    template: str = "{question}"
    shots: list[Shot] = Field(default_factory=list)

    @field_validator("template")
    @classmethod
    def _has_question(cls, value: str) -> str:
        if "{question}" not in value:
            raise ValueError("the template must contain {question}")
        return value


@dataclass(frozen=True, slots=True)
class Bank:
    instruction: str
    template: str
    shots: tuple[Shot, ...]

    def render(self, question: str) -> str:
        """The user's turn for a question. Other braces of the template stay as they are."""
        return self.template.replace("{question}", question)

    def with_instruction(self, instruction: str) -> Bank:
        return replace(self, instruction=instruction)


def load_bank(path: Path) -> Bank:
    """Read a bank.

    Raises:
        DataError: the file is missing, is not YAML, or has a field that does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"Cannot read the prompt bank {path}: {reason}.") from None
    try:
        parsed = _BankFile.model_validate(read_yaml(text) or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"The prompt bank {path} does not fit at {where}: {first['msg']}.") from None
    except NotYaml as error:
        raise DataError(f"The prompt bank {path} is not YAML: {error}.") from None
    return Bank(parsed.instruction.strip(), parsed.template, tuple(parsed.shots))
