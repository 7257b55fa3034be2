"""A folder onto the Hugging Face hub, as a data set or a model, and a model from there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from siked_core.errors import DataError, ModelError

PREFIX = "hub:"
_NETWORK = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}
"""Libraries that versions of huggingface_hub speak through; their errors need not be an `OSError`."""
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def hub_name(destination: str) -> str | None:
    """ "hub:owner/name" -> "owner/name"; None where the destination is not on the hub.

    Raises:
        DataError: what follows is not owner/name.
    """
    if not destination.startswith(PREFIX):
        return None
    name = destination.removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        raise DataError(f"A place on the hub is hub:OWNER/NAME, not '{destination}'.")
    return name


def check_token() -> None:
    """Fail before the work is done.

    Raises:
        DataError: there is no token of the hub here, or the hub is switched off.
    """
    from huggingface_hub import get_token
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        raise DataError("The hub is switched off (HF_HUB_OFFLINE). Unset it, or write into a folder.")
    if not get_token():
        raise DataError("There is no token of the Hugging Face hub here: run `hf auth login`, or set HF_TOKEN.")


def publish(folder: Path, name: str, public: bool, message: str, kind: Literal["dataset", "model"] = "dataset") -> str:
    """Upload a folder, into a repository that is made if it is not there; returns its address.

    Args:
        name: owner/name.
        public: whether everyone may see it, if it is made now; one that is there stays as it is.
        message: of the commit.

    Raises:
        DataError: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi()
    try:
        made = api.create_repo(name, repo_type=kind, private=not public, exist_ok=True)
        api.upload_folder(repo_id=name, repo_type=kind, folder_path=folder, commit_message=message)
    except (HfHubHTTPError, HFValidationError) as error:
        said = " ".join(str(error).split())[:240]
        what = "data set" if kind == "dataset" else kind
        raise DataError(f"The hub did not take the {what} '{name}': {said}") from None
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _NETWORK:
            raise
        raise DataError(
            f"The hub cannot be reached ({type(error).__name__}: {' '.join(str(error).split())[:160]}). Try again, or "
            "write into a folder."
        ) from None
    return str(made)


def is_hub_name(text: str) -> bool:
    """Whether it may be a model's name on the hub: OWNER/NAME, with @REVISION if need be."""
    return _NAME.fullmatch(text.partition("@")[0]) is not None and not text.startswith((".", "/"))


def fetched(name: str) -> Path:
    """The local copy of a model on the hub: from the cache, or fetched into it. Nothing of it is run.

    Args:
        name: OWNER/NAME, or OWNER/NAME@REVISION (a branch, a tag, a commit).

    Raises:
        ModelError: there is none, or the hub cannot be reached and the cache does not hold it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        # What other programs are served with (GGUF) may be as large again as the model.
        return Path(snapshot_download(repository, revision=revision or None, ignore_patterns=["*.gguf", "lm_eval/*"]))
    except LocalEntryNotFoundError:
        why = "it is not in the local Hugging Face cache, and the hub cannot be reached"
    except (HfHubHTTPError, HFValidationError) as error:
        why = f"the hub has none that you may use ({_first_line(error)})"
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _NETWORK:
            raise
        why = f"it cannot be fetched ({type(error).__name__}: {_first_line(error)})"
    raise ModelError(f"There is no student '{name}': it is no run and no folder here, and {why}.")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:160].removesuffix(".")
