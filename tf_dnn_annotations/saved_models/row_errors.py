"""Errors of a single example, which name its row."""


class RowError(ValueError):
  """An example that cannot be used.

  Attributes:
    row: its index among the examples given.
    reason: what is wrong with it, and the remedy.
  """

  def __init__(self, row, reason):
    super().__init__(f'row {row}: {reason}')
    self.row = row
    self.reason = reason


class RowTypeError(RowError, TypeError):
  """A value of another type than its feature's."""
