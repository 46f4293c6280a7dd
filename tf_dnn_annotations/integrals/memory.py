"""How many rows are computed together, so that memory stays within a budget."""


def rows_within(budget, numbers_per_row, at_least=1):
  """Returns the number of rows that a budget of memory is enough for.

  Args:
    budget: numbers that may be held at once.
    numbers_per_row: numbers that each row takes, positive.
    at_least: the fewest rows, whatever they take.

  Returns:
    int, positive.
  """
  return max(at_least, int(budget // numbers_per_row))
