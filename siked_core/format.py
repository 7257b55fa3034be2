"""How the student is spoken to, and how it names a strategy.

The instruction goes into the chat template itself, so that training, sampling and whoever loads the exported
student render the very same prompt. A target is a strategy's tag and then the rationale; the tag is the choice
(arXiv 2410.18574, section 3: the loss is  -log p(s | I, q) - log p(r | s, I, q)).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from siked_core.records import Message, Prompt

PLAIN_TEMPLATE = (
    "{%- if bos_token is defined and bos_token -%}{{ bos_token }}{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{ message['content'] + eos_token }}"
    "{%- elif message['role'] == 'user' -%}{{ 'Question: ' + message['content'] + '\\nAnswer: ' }}"
    "{%- else -%}{{ message['content'] + '\\n\\n' }}{%- endif -%}"
    "{%- endfor -%}"
)
"""The chat template called "plain", for models that come without one."""


@dataclass(frozen=True, slots=True)
class StudentFormat:
    """The tags and the instruction of one run's students."""

    strategies: tuple[str, ...]
    tag: str
    """With `{strategy}` in it."""
    instruction: str
    """Ready to be put before the question; empty for none."""
    thinks: bool = False
    """Whether a student writes reasoning before its rationale, and its chat template may let it."""

    @classmethod
    def build(cls, strategies: Sequence[str], tag: str, instruction: str, thinks: bool = False) -> StudentFormat:
        names = ", ".join(strategies)
        return cls(tuple(strategies), tag, instruction.replace("{strategies}", names), thinks)

    def prompt(self, question: str, forced: str | None = None) -> Prompt:
        return Prompt((Message("user", question),), prefix=self.tag_of(forced) if forced else "")

    def tag_of(self, strategy: str) -> str:
        return self.tag.replace("{strategy}", strategy)

    def target(self, strategy: str, rationale: str) -> str:
        return self.tag_of(strategy) + rationale

    def split(self, text: str) -> tuple[str | None, str]:
        """The strategy that a completion names, and the rest; (None, text) where it names none that is known.

        White space around the tag does not count, so `<cot>` is read where the tag is `<cot>\\n`.
        """
        start = text.lstrip()
        for strategy, tag in self.tags().items():
            if start.startswith(tag):
                return strategy, start[len(tag) :].lstrip("\r\n")
        return None, text

    def tags(self) -> dict[str, str]:
        """Strategy -> its tag without white space around it, in the order in which they are tried: longest first."""
        longest_first = sorted(self.strategies, key=lambda name: -len(self.tag_of(name)))
        return {strategy: self.tag_of(strategy).strip() for strategy in longest_first}


def without_thinking(template: str) -> str:
    """A chat template that lets a model think, as Qwen3's and SmolLM3's do, with thinking off whatever it is told.

    A student's is made so when it is trained, so that all who render it read the same prompt.
    """
    return "{%- set enable_thinking = false -%}" + template if "enable_thinking" in template else template


def with_instruction(template: str, instruction: str) -> str:
    """A chat template that puts the instruction before the first user turn and is otherwise the same."""
    if not instruction:
        return template
    return (
        f"{{%- set siked_instruction = {json.dumps(instruction, ensure_ascii=False)} -%}}"
        "{%- set siked = namespace(turns=[], done=false) -%}"
        "{%- for turn in messages -%}"
        "{%- if turn['role'] == 'user' and not siked.done and turn['content'] is string -%}"
        "{%- set siked.done = true -%}"
        "{%- set siked.turns = siked.turns + "
        "[{'role': 'user', 'content': siked_instruction + turn['content']}] -%}"
        "{%- else -%}{%- set siked.turns = siked.turns + [turn] -%}{%- endif -%}"
        "{%- endfor -%}"
        "{%- set messages = siked.turns %}"
    ) + template
