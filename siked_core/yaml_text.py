"""Reads the YAML that people write: what is wrong is told with its line, and a key that stands twice is refused.

PyYAML takes as long to load as everything that `siked plugins list` needs of it, so it is loaded when it is used.
"""

from __future__ import annotations

from typing import Any


class NotYaml(Exception):  # noqa: N818 - the reader's caller makes an error of it that names the file
    """Why a text is not YAML, as a phrase: "line 3, column 5: ..."."""


def read_yaml(text: str) -> Any:
    """The value that a text holds; None where it is empty.

    Raises:
        NotYaml: it is not YAML, or a mapping has a key twice.
    """
    import yaml

    loader = _loader()(text)
    try:
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        said = " ".join((error.problem or str(error)).split())
        advice = "; YAML is indented by spaces, not by tabs" if "'\\t'" in said else ""
        raise NotYaml(f"{place}{said}{advice}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an impossible date, say
        raise NotYaml(" ".join(str(error).split())) from None
    finally:
        loader.dispose()


def _loader() -> Any:
    """PyYAML's safe loader, which of two equal keys would silently keep the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                # "<<" takes a mapping's keys over, and may stand more than once
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"the key '{key.value}' stands here twice", key.start_mark
                        )
                    seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Loader
