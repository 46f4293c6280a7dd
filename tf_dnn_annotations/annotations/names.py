"""The strings of the wire contract between the writer and the readers."""

# The SignatureDef that lists every annotated tensor. Its outputs are named
# <kind>/<column, feature key or layer number>.
SIGNATURE = 'layer_annotations'
PROCESSED_FEATURES_OUTPUT = 'processed_features'
UNPROCESSED_FEATURES_OUTPUT = 'unprocessed_features'
HIDDEN_LAYERS_OUTPUT = 'hidden_layers'
LOGITS_OUTPUT = 'logits'

# A sparse feature is three tensors; their outputs are named <key>/<component>.
SPARSE_COMPONENTS = ('indices', 'values', 'dense_shape')


class LayerAnnotationsCollectionNames(object):
  """Names of the graph collections that hold the annotations.

  `keys(name)` and `values(name)` are parallel collections: the i-th key is the
  name of the i-th value.
  """

  UNPROCESSED_FEATURES = 'layer_annotations/unprocessed_features'
  # "annotatons" is the spelling of tf.contrib.estimator. SavedModels in the
  # field carry it, so it is part of the format.
  PROCESSED_FEATURES = 'layer_annotatons/processed_features'
  FEATURE_COLUMNS = 'layer_annotations/feature_columns'

  @classmethod
  def keys(cls, collection_name: str) -> str:
    """Returns the name of the collection of `collection_name`'s keys."""
    return '%s/keys' % collection_name

  @classmethod
  def values(cls, collection_name: str) -> str:
    """Returns the name of the collection of `collection_name`'s values."""
    return '%s/values' % collection_name


# The spelling that contrib intended. Nothing writes it; readers accept it.
PROCESSED_FEATURES_RESPELLED = 'layer_annotations/processed_features'
