"""Rows of a data set on the Hugging Face hub, through the `datasets` library.

The hub is asked first, once and with a time limit, whether it can be reached: `datasets` itself retries for half a
minute. Where it cannot be reached, a copy that an earlier run has downloaded is used.
"""

from __future__ import annotations

from siked_core import DataError
from siked_core.rows import Row

_REACH_S = 10.0


def hub_rows(name: str, config: str | None, split: str, revision: str | None) -> list[Row]:
    """All rows of one split.

    Args:
        name: "owner/name" on the hub.
        config: the data set's configuration, where it has several.
        split: its name on the hub, without a slice.
        revision: a branch, tag or commit; None is the newest.

    Raises:
        DataError: there is no such data set, configuration or split; or the hub cannot be reached and no copy is here.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"The data set '{name}' comes from the hub, which needs the package 'datasets' ({error}). "
            "Install it, or give a local file as `path`."
        ) from None
    reachable = _reachable(name, revision)
    offline = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = offline or not reachable
    try:
        loaded = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # the library raises its own, the network's, pyarrow's and plain ValueError
        why = " ".join(str(error).split())[:200]
        if not reachable:
            raise DataError(
                f"The hub cannot be reached and there is no local copy of the data set '{name}'. "
                "Go online, or give a local file or folder as `path`."
            ) from None
        raise DataError(
            f"Cannot load split '{split}' of the data set '{name}' from the hub: {type(error).__name__}: {why}"
        ) from None
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
    return [Row(f"hub:{name} {split}, row {number}", values) for number, values in enumerate(loaded, 1)]


def _reachable(name: str, revision: str | None) -> bool:
    """Whether the hub answers for this data set.

    Raises:
        DataError: it answers that there is no such data set, or that it is not for everyone.
    """
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        huggingface_hub.HfApi().dataset_info(name, revision=revision, timeout=_REACH_S)
    except GatedRepoError:
        raise DataError(f"The data set '{name}' asks for a log-in on the hub: run `hf auth login` first.") from None
    except RevisionNotFoundError:
        raise DataError(f"The data set '{name}' has no revision '{revision}' on the hub.") from None
    except RepositoryNotFoundError:
        raise DataError(f"There is no data set '{name}' on the hub (or it is private).") from None
    except huggingface_hub.errors.HFValidationError as error:
        raise DataError(f"'{name}' is not the name of a data set on the hub: {error}") from None
    except Exception:  # whatever the HTTP library calls a failed connection, a time-out, or an error of the server
        return False
    return True
