"""The verifier `tolerance` keeps siked's contract, and accepts what is near enough."""

import pytest
from siked_verifier_tolerance import Tolerance

from siked_core import Status
from siked_core.testing import VerifierContract


class TestContract(VerifierContract):
    plugin = Tolerance
    examples = (("72", "72"), ("3.14", "3.1416"), ("about", "about"))


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [("9.9", "10", True), ("9.8", "10", False), ("-9.9", "-10", True), ("0.001", "0", False), ("ten", "10", True)],
)
def test_one_percent_is_near_enough(answer: str, gold: str, right: bool) -> None:
    assert Tolerance().compare(answer, gold).correct is right


def test_what_is_wrong_says_by_how_much() -> None:
    verdict = Tolerance({"share": 0.0}).compare("9", "10")
    assert (verdict.status, verdict.why) == (Status.WRONG, "it is off by 1")
