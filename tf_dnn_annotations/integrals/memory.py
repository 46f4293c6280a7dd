"""How many rows are computed together, so that memory stays within a budget.

A budget is a number of floats. Its size in bytes depends on their type: most
arrays of an integral are float64, those of columns and models float32.
"""

# One array of a chunk of rows that fits into a share of a core's second-level
# cache, and all arrays of a chunk that fit into the last-level cache. Found by
# trial.
CORE_CACHE = 1 << 17
SHARED_CACHE = 1 << 19

# An array that is made, reduced to less and dropped; several of that size are
# held at once. 8 MB of float64.
SCRATCH = 1 << 20

# The integrals of a chunk of rows, which are held two or three times. 16 MB of
# float64.
INTEGRALS = 1 << 21


def rows_within(budget, numbers_per_row, at_least=1):
  """Returns the number of rows for which a budget of memory is enough.

  Args:
    budget: numbers that may be held at once.
    numbers_per_row: numbers that each row takes, positive.
    at_least: the fewest rows, whatever they take.

  Returns:
    int, positive.
  """
  return max(at_least, int(budget // numbers_per_row))
