"""Records the tensor of each feature column while a model's graph is built.

A column is recorded by a double of it whose class is a subclass of its own: the
double lets the original compute its dense tensor and records the result.
Nothing in TensorFlow is patched, so v1 and v2 columns and columns of a user's
own class are all recorded, and nothing outlives the graph.
"""

import types

import tensorflow.compat.v1 as tf

from tf_dnn_annotations.annotations import columns


class Recorder(object):
  """Records the columns of one model while its graph is built.

  Attributes:
    columns: dict of column name to (column, its [batch, width] tensor), in the
      order in which the model lays the columns side by side.
  """

  def __init__(self):
    self.columns = {}

  def recorded(self, column):
    """Returns a double of `column` that reports its dense tensor here.

    Args:
      column: a feature column. Columns that are not dense are returned
        unchanged: the model refuses them with a message of its own.
    """
    # A v2 column has both methods; which one is called depends on whether
    # every column of the model is v2.
    method_names = [
      name
      for name in ('get_dense_tensor', '_get_dense_tensor')
      if callable(getattr(column, name, None))
    ]
    if not method_names:
      return column
    cls = type(column)
    attributes = {
      name: self._recording_method(getattr(column, name), column)
      for name in method_names
    }
    if callable(getattr(column, 'create_state', None)):
      attributes['create_state'] = lambda _, *args: column.create_state(*args)
    # Without __slots__, the double would have a __dict__ even where the column
    # has none.
    attributes['__slots__'] = ()
    attributes['__module__'] = cls.__module__
    return _double(column, type(cls)(cls.__name__, (cls,), attributes))

  def _recording_method(self, original_method, column):
    # Bound to the original: variables are kept by column, and another column
    # that shares them knows the original only.
    def get_dense_tensor(_, *args, **kwargs):
      # A call with arguments that the column does not accept raises here,
      # before anything is recorded: DenseFeatures tries out `training` so.
      tensor = original_method(*args, **kwargs)
      # The reshape isolates the column: its tensor is the only output of an
      # op of its own, so that it can be fed, or cut at, without affecting
      # other readers of the feature.
      tensor = tf.reshape(
        tensor, [-1, columns.width(column)], name='layer_annotation'
      )
      self.columns[column.name] = (column, tensor)
      return tensor

    return get_dense_tensor


def _double(column, cls):
  """Returns an object of `cls` with the attributes of `column`.

  No method of a user's class is called: __new__ can accept fewer arguments than
  a tuple has fields, and __setattr__ can refuse, as that of a frozen dataclass
  does.

  Args:
    column: a feature column.
    cls: a subclass of its class.
  """
  if isinstance(column, tuple):  # As every column of TensorFlow.
    double = tuple.__new__(cls, column)
  else:
    double = object.__new__(cls)
  if hasattr(column, '__dict__'):
    # The same dict, so that an attribute set on either of them while the model
    # is built is set on both.
    object.__setattr__(double, '__dict__', column.__dict__)
  for owner in type(column).__mro__:
    for slot in vars(owner).values():
      if isinstance(slot, types.MemberDescriptorType):
        try:
          slot.__set__(double, slot.__get__(column))
        except AttributeError:
          continue  # Not set.
  return double
