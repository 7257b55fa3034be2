"""The mixing policy `short-first` keeps siked's contract, and takes the shortest rows."""

from types import MappingProxyType

import polars as pl
from siked_mixing_policy_short_first import ShortFirst

from siked_core import MixContext
from siked_core.testing import MixingPolicyContract, toy_attempts


class TestContract(MixingPolicyContract):
    plugin = ShortFirst


class TestContractOfSeveral(MixingPolicyContract):
    plugin = ShortFirst
    options = MappingProxyType({"keep": 3})


def test_the_shortest_row_of_each_cell_is_taken() -> None:
    rows = toy_attempts(9, ["cot", "pot"], draws=4, right=1.0).filter(pl.col("strategy").is_not_null())
    cell = ["problem_id", "strategy"]
    chosen = ShortFirst().mix(rows, MixContext(1, ("cot", "pot"), rows, seed=0))
    least = rows.group_by(cell).agg(pl.col("completion_tokens").min())
    assert chosen.select(*cell, "completion_tokens").sort(cell).equals(least.sort(cell))
