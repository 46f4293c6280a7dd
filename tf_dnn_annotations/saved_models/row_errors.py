"""Errors of a single row, which name it."""


class RowError(ValueError):
  """An example or a baseline that cannot be used.

  Attributes:
    row: its index among those given.
    reason: what is wrong with it, and the remedy.
    of: the argument that it is a row of, 'examples' or 'baselines'.
  """

  def __init__(self, row: int, reason: str, of: str = 'examples') -> None:
    place = f'row {row}' if of == 'examples' else f'`{of}`: row {row}'
    super().__init__(f'{place}: {reason}')
    self.row = row
    self.reason = reason
    self.of = of

  def __reduce__(self):
    # Exceptions cross processes, and the message alone does not make one.
    return type(self), (self.row, self.reason, self.of)

  def among(self, of: str) -> 'RowError':
    """Returns the same error of a row of another argument."""
    return type(self)(self.row, self.reason, of)


class RowTypeError(RowError, TypeError):
  """A value of another type than its feature's."""
