"""The example package: its strategy, and that siked takes it up once pip has installed it."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import Environment

from siked_core import Rationale, Step, Strategy, Unreadable, WorkedSolution
from siked_core.numbers import same_answer

PACKAGE = Path(__file__).parents[1] / "examples" / "siked-strategy-table"
MODULE = PACKAGE / "siked_strategy_table" / "__init__.py"
