"""Text from elsewhere, made harmless for a terminal.

A model, or whoever wrote a file, may write control characters: they could move the cursor, recolour or hide what is
shown, or set the window's title. They are shown as what they are instead.
"""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
_TURNING = {0x2028, 0x2029, 0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""They break lines, or turn the direction of what follows, so that a text reads otherwise than it is."""


def visible(text: str) -> str:
    """The text with every control character but line ends and tabs as its escape: "\\x1b"."""
    return "".join(_escaped(one) if _hides(one) else one for one in text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same, with blanks for line ends and tabs."""
    return visible(text).replace("\n", " ").replace("\t", " ")


def _hides(one: str) -> bool:
    return (unicodedata.category(one) in ("Cc", "Cs") and one not in _KEPT) or ord(one) in _TURNING


def _escaped(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
