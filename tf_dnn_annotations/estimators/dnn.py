"""The canned DNN estimators, with SavedModels that carry layer annotations."""

from tensorflow_estimator.python.estimator.canned import dnn

from tf_dnn_annotations.estimators import annotating


class DNNClassifierWithLayerAnnotations(dnn.DNNClassifier):
  """A `tf.compat.v1.estimator.DNNClassifier` with annotated exports.

  In TensorFlow 2, `tf.estimator.DNNClassifier` is another class, whose drop-in
  is `DNNClassifierWithLayerAnnotationsV2`.

  Accepts the arguments of `DNNClassifier` with the same defaults, trains,
  evaluates and predicts in the same way, and reads and writes the same
  checkpoints. The SavedModels of `export_saved_model` (and of every exporter of
  `train_and_evaluate`) carry in addition, in collections and in the signature
  `layer_annotations`, the tensors that `IntegratedGradients` needs: every
  feature that a column reads, every feature column, every hidden layer and the
  logits. The names are in `LayerAnnotationsCollectionNames`.

  To explain a model that is already trained, construct this with the same
  arguments and export the ordinary checkpoint:

      estimator.export_saved_model(
          export_dir_base, serving_input_receiver_fn,
          checkpoint_path=ordinary_estimator.latest_checkpoint())

  Args:
    hidden_units: iterable of the number of units of each hidden layer, input
      side first.
    feature_columns: iterable of dense feature columns, v1 or v2, with distinct
      names.
    model_dir: directory of checkpoints and summaries; a temporary one if None.
    n_classes: number of classes, at least 2.
    weight_column: None, the key of a feature or a numeric column: the weight
      of an example in the loss.
    label_vocabulary: None, or the list of the `n_classes` labels, as strings,
      in the order of the class ids.
    optimizer: name, `tf.compat.v1.train.Optimizer` or callable that returns
      one.
    activation_fn: activation function of the hidden layers.
    dropout: None, or the share in [0, 1) of each hidden layer's units that are
      dropped in training.
    input_layer_partitioner: partitioner of the input layer's variables.
    config: `tf.estimator.RunConfig`.
    warm_start_from: checkpoint path or `tf.estimator.WarmStartSettings`.
    loss_reduction: one of `tf.compat.v1.losses.Reduction`, not NONE.
    batch_norm: whether each hidden layer is followed by batch normalization.

  Raises:
    ValueError: `feature_columns` is empty, is not a list of columns, or has a
      name twice, or `DNNClassifier` raises it. Exporting, predicting or
      evaluating a checkpoint of another configuration raises one that names the
      columns and layers that differ.

  Source: tf.contrib.estimator.DNNClassifierWithLayerAnnotations, TF 1.15.
  """

  __init__ = annotating.constructor(dnn.DNNClassifier)


class DNNRegressorWithLayerAnnotations(dnn.DNNRegressor):
  """A `tf.compat.v1.estimator.DNNRegressor` with annotated exports.

  See `DNNClassifierWithLayerAnnotations`. Accepts the arguments of
  `DNNRegressor`: those of the classifier, with the following in place of
  `n_classes` and `label_vocabulary`.

  Args:
    label_dimension: number of values that are predicted per example.
  """

  __init__ = annotating.constructor(dnn.DNNRegressor)


class DNNClassifierWithLayerAnnotationsV2(dnn.DNNClassifierV2):
  """A TF 2 `tf.estimator.DNNClassifier` with annotated exports.

  See `DNNClassifierWithLayerAnnotations`. Accepts the arguments of TF 2's
  `DNNClassifier`: Keras optimizers, a mean over the batch as the loss, v2
  feature columns, and no `input_layer_partitioner`.
  """

  __init__ = annotating.constructor(dnn.DNNClassifierV2)


class DNNRegressorWithLayerAnnotationsV2(dnn.DNNRegressorV2):
  """A TF 2 `tf.estimator.DNNRegressor` with annotated exports.

  See `DNNRegressorWithLayerAnnotations` and
  `DNNClassifierWithLayerAnnotationsV2`.
  """

  __init__ = annotating.constructor(dnn.DNNRegressorV2)
