"""The examples that a run leaves out, in a file beside its output."""

import contextlib

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.results import files


class TooManyErrors(ValueError):
  """More examples cannot be used than a run may leave out."""


def path_for(output):
  """Returns the path of the file of what is missing from the file `output`."""
  for extension in sorted(files.EXTENSIONS, key=len, reverse=True):
    if output.lower().endswith(extension):
      output = output[: -len(extension)]
      break
  return output + '.rejects.jsonl'


class RejectedRows(object):
  """Writes a JSON line for each example that cannot be used.

  A context manager. On leaving it the file takes its name, in place of an older
  one, also where `TooManyErrors` leaves it; where another exception does, what
  was written is removed. Without a row there is no file, and one of an earlier
  run is removed.

  Attributes:
    path: of the file.
    count: number of rows so far.
    num_rests: how many of them stand for all that follows in their file.
    first: the place and the reason of the first row; None before any.
  """

  def __init__(self, output, max_errors, id_field='row'):
    """Opens nothing yet.

    Args:
      output: path of the file of attributions.
      max_errors: most rows; one more raises `TooManyErrors`.
      id_field: the name of the field that identifies an example, as in the
        output.
    """
    self.path = path_for(output)
    self.count, self.num_rests, self.first = 0, 0, None
    self._max_errors = max_errors
    self._id_field = id_field
    self._files = contextlib.ExitStack()
    self._writer = None

  def __enter__(self):
    return self

  def __exit__(self, exc_type, exc_value, traceback):
    if exc_type is not None and not issubclass(exc_type, TooManyErrors):
      self._files.__exit__(exc_type, exc_value, traceback)
      return
    self._files.close()
    if self._writer is None and tf.io.gfile.exists(self.path):
      tf.io.gfile.remove(self.path)

  def add(self, its_id, place, reason, is_rest=False):
    """Writes a row.

    Args:
      its_id: what identifies the example, as in the output; None if that cannot
        be read.
      place: str, where it is.
      reason: str, what is wrong with it.
      is_rest: whether it stands for all that follows in its file.

    Raises:
      TooManyErrors: there are more than --max_errors.
    """
    if self._writer is None:
      self._writer = self._files.enter_context(
        files.RowWriter(self.path, [self._id_field, 'place', 'reason'])
      )
    if is_rest:
      reason += ' What follows in the file was not read.'
    self._writer.write_rows([[its_id, place, reason]])
    self.count += 1
    self.num_rests += is_rest
    self.first = self.first or f'{place}: {reason}'
    if self.count > self._max_errors:
      raise TooManyErrors(
        f'{self.count} examples cannot be used, more than --max_errors='
        f'{self._max_errors}; nothing was written but {self.path}, which says '
        f'where and why. The first: {self.first} Raise --max_errors to leave '
        'out more.'
      )

  def check_is_not_all(self, num_examples):
    """Raises `TooManyErrors` if no example was good."""
    if self.count and not num_examples:
      raise TooManyErrors(
        'none of the examples can be used; nothing was written but '
        f'{self.path}, which says where and why. The first: {self.first}'
      )

  def check_no_rests(self, output):
    """Raises `TooManyErrors` if part of a file could not be read.

    How many examples it holds is not known, so nobody can say that they are no
    more than --max_errors.

    Args:
      output: path of the file of attributions.
    """
    if self.num_rests:
      raise TooManyErrors(
        f'the rest of {self.num_rests} of the files could not be read, so more '
        f'than --max_errors={self._max_errors} examples may be missing. '
        f'{output} has all others, and {self.path} says where and why. Copy or '
        'write those files again.'
      )
