"""The strategy `table` keeps siked's contract."""

from siked_strategy_table import Table

from siked_core.testing import StrategyContract


class TestContract(StrategyContract):
    plugin = Table
    more_texts = ("|1|How many?|5|\nThe answer is 5.", "| 1 | a | b | c |", "|step|subquestion|process|result|")
