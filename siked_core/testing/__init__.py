"""What plugin authors, and siked's own tests, test with."""

from siked_core.testing.students import make_tiny_student
from siked_core.testing.toys import TOYS, ToyTeacher, toy_recipe, toy_registry, toy_sample

__all__ = ["TOYS", "ToyTeacher", "make_tiny_student", "toy_recipe", "toy_registry", "toy_sample"]
