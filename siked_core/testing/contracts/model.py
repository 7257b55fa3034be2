"""What every model that comes with a package must be."""

from __future__ import annotations

from pathlib import Path

from siked_core.contracts import Model
from siked_core.testing.contracts.contract import Contract, shown


class ModelContract(Contract):
    """A folder that transformers can load, and that can be trained and sampled from."""

    plugin: type[Model]

    def test_its_folder_is_a_model(self) -> None:
        """`folder` is a directory with a config, weights and a tokenizer, as transformers' `save_pretrained` writes
        them."""
        folder = self._folder_of()
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        self.check(
            {"config.json", "tokenizer_config.json"} <= names,
            f"{folder} holds {', '.join(sorted(names)) or 'nothing'}",
            "Save model and tokenizer there with save_pretrained, and list the folder in the package's data files.",
        )
        self.check(
            any(name.endswith(".safetensors") for name in names),
            f"{folder} holds no *.safetensors",
            "Save the weights as safetensors: pickled ones are code.",
        )

    def test_its_tokenizer_and_config_agree(self) -> None:
        """Tokenizer and config are loaded without a network; every token has a place in the vocabulary; there is an
        end-of-sequence token."""
        from transformers import AutoConfig

        from siked_core.models import load_tokenizer

        folder = str(self._folder_of())
        mend = "Save model and tokenizer with save_pretrained."
        tokenizer = self.tried("loading the tokenizer", lambda: load_tokenizer(folder), mend)
        config = self.tried("loading the config", lambda: AutoConfig.from_pretrained(folder), mend)
        self.check(
            len(tokenizer) <= config.vocab_size,
            f"the tokenizer has {len(tokenizer)} tokens, the model places for {config.vocab_size}",
            "Resize the model's embeddings: model.resize_token_embeddings(len(tokenizer)).",
        )
        self.check(
            tokenizer.eos_token_id is not None,
            "there is no end-of-sequence token",
            "Set tokenizer.eos_token: without it a student could never stop.",
        )

    def test_what_is_encoded_can_be_decoded(self) -> None:
        """A text is the same after it was encoded and decoded."""
        from siked_core.models import load_tokenizer

        tokenizer = load_tokenizer(str(self._folder_of()))
        text = "Ann has 12 pens and buys 7 more."
        back = tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"])
        self.check(back == text, f"{shown(text)} came back as {shown(back)}", "Look at the tokenizer's decoder.")

    def _folder_of(self) -> Path:
        return Path(self.made().folder())
