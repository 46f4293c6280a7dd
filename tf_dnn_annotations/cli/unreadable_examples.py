"""The error of an example that cannot be read from its file."""


class UnreadableExample(ValueError):
  """An example that cannot be read.

  Attributes:
    place: str, where it is: file and line, or file and record.
    reason: str, what is wrong with it, and the remedy.
    is_rest: whether what follows in the file cannot be read either.
    id: what identifies it, if that can be read; otherwise None.
  """

  def __init__(self, place, reason, is_rest=False, id=None):
    super().__init__(f'{place}: {reason}')
    self.place = place
    self.reason = reason
    self.is_rest = is_rest
    self.id = id
