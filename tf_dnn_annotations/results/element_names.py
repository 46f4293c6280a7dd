"""Names of the elements of columns, made when they are first read."""

import collections.abc
import threading


class ElementNames(collections.abc.Mapping):
  """{column name: list of the names of its elements}, made on first use.

  A vocabulary may have 100,000 entries, and most results are read without
  them. All results of a model share one of these. Copied to another process it
  becomes a dict, which needs nothing of the model.

  Args:
    columns: list of the columns' names.
    names_fn: function without arguments that returns the dict; called once.
  """

  def __init__(self, columns, names_fn):
    self._columns = list(columns)
    self._names_fn = names_fn
    self._names = None
    self._lock = threading.Lock()

  def _made(self):
    with self._lock:
      if self._names is None:
        self._names = self._names_fn()
      return self._names

  def __getitem__(self, column):
    return self._made()[column]

  def __iter__(self):
    return iter(self._columns)

  def __len__(self):
    return len(self._columns)

  def __reduce__(self):
    return dict, (dict(self._made()),)
