"""Integrated Gradients of an annotated SavedModel.

Source: Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks",
ICML 2017 (arXiv 1703.01365), equation 1.
"""

import functools
import os
from typing import Any, Callable, Iterable, Iterator, Optional, Union
import warnings

from tf_dnn_annotations.annotations import columns
from tf_dnn_annotations.annotations import vocabularies
from tf_dnn_annotations.explainers import arguments
from tf_dnn_annotations.explainers import bad_rows
from tf_dnn_annotations.explainers import baselines as baseline_points
from tf_dnn_annotations.explainers import computed_baselines
from tf_dnn_annotations.explainers import convergence
from tf_dnn_annotations.explainers import integrators
from tf_dnn_annotations.explainers import row_chunks
from tf_dnn_annotations.explainers import row_sums
from tf_dnn_annotations.explainers import targets as target_ids
from tf_dnn_annotations.integrals import memory
from tf_dnn_annotations.results import attributions
from tf_dnn_annotations.results import element_names
from tf_dnn_annotations.saved_models import annotated_model
from tf_dnn_annotations.saved_models import example_forms
from tf_dnn_annotations.saved_models import row_errors
from tf_dnn_annotations.text import suggestions


class IntegratedGradients(object):
  """Explains the predictions of an annotated SavedModel.

  The attribution of element i of a processed column is

      IG_i(x) = (x_i - x'_i) * integral over a in [0, 1] of
                dF/dx_i at x' + a (x - x')

  with x the columns' values of an example, x' those of the baseline and F an
  output of the model. Where the first hidden layer is known, the path is
  followed in its pre-activation z: the layer is affine, so z moves on a
  straight line too, and the kernel is applied once per row and not once per
  step. An instance may be used as a context manager.

  Attributes:
    model: the `annotated_model.AnnotatedModel`.
  """

  def __init__(
    self,
    export_dir: 'Union[str, bytes, os.PathLike[str]]',
    trust_model: bool = False,
  ) -> None:
    """Loads the SavedModel in `export_dir`.

    Args:
      export_dir: directory of the SavedModel.
      trust_model: whether to load it even if it does more than compute, such
        as writing files. Set it only for a model whose author you trust.

    Raises:
      FileNotFoundError: there is no SavedModel in `export_dir`.
      ValueError: it has no layer annotations.
      UntrustedModelError: it does more than compute; a ValueError that names
        the operations.
    """
    self.model = annotated_model.AnnotatedModel(export_dir, trust_model)
    self._element_names = _element_names(self.model.columns, export_dir)
    if integrators.is_exact_affordable(self.model.network):
      # Made here, so that the first call does not take longer than others.
      integrators.choose(self.model, 'logits', 'exact', None, None, None)

  @suggestions.takes_unknown
  def attribute(
    self,
    examples: Any,
    baselines: Any = None,
    targets: Any = 'predicted',
    output: str = 'logits',
    method: str = 'auto',
    num_steps: Optional[int] = None,
    max_rows: Optional[int] = None,
    tolerance: float = 1e-3,
    with_features: bool = False,
    **unknown: Any,
  ) -> attributions.Attributions:
    """Returns the Integrated Gradients of each row.

    Args:
      examples: n examples, in one of two kinds. Serialized tf.Examples: a list,
        an array of objects, a Series or an eager Tensor of bytes. Raw features:
        {feature key: values}, a pandas DataFrame with a column per feature, or
        a list of n dicts of single rows; with all features of the model and no
        others. The values of a feature are an array [n, ...], masked or not, a
        list, a Series or a DataFrame, an eager Tensor, a RaggedTensor, a
        SparseTensor or the value of one. Features of any number of values: a
        list per row, or an array [n] or [n, k]; None, NaN, NA, masked, '', and
        in arrays -1 of integers and 0.0 of floats stand for no value. Other
        features need a value in each row. Integers are converted where the
        model takes floats.
      baselines: what the rows are compared with. None: zeros in every
        processed column. A raw example in a form of `examples`: that one for
        all rows; k of them: the mean of the attributions over the k baselines.
        `tf_dnn_annotations.ColumnValues` of {column name: array [width] or [n,
        width]}: processed values, zeros in the columns left out. A plain dict
        of that kind is accepted where it cannot be taken for raw values: none
        of its keys is both a column and a feature whose values differ. A dict
        with all features is a raw example if `examples` are raw, too, or if
        some key is not the name of a column. 'mean', 'median' or 'sample':
        those of `examples` themselves, as `baselines_of` computes them.
      targets: the output of the model to explain, per row: 'predicted' (the
        class that the model itself predicts), a class id, a class label, an
        array [n], list, Series or Tensor of either, or 'all'. For a regressor
        the index of an output; with only one, 'predicted' is that one. For a
        binary classifier, name the positive class: with 'predicted',
        attributions change their sign between rows, since the log-odds of class
        0 are the negative of those of class 1.
      output: 'logits' (log-odds; for a regressor its prediction) or
        'probabilities' (in [0, 1]).
      method: 'exact': the finite sum over the linear regions of a network of
        ReLU, ReLU6, leaky ReLU or identity activations, with or without batch
        normalization. 'gausslegendre', 'midpoint', 'trapezoid', 'left' or
        'right': that rule with `num_steps` steps. 'auto': exact where that is
        affordable, otherwise steps are added until `tolerance` is met.
      num_steps: number of steps on the path of each row, 128 by default, for
        the rules; where 'auto' adds steps, the most that it takes, 1025 by
        default and never fewer than 15. Without effect on the exact sum.
      max_rows: most rows (examples times steps) in one model call. By default
        as many as keep a call within about 64 MiB.
      tolerance: where 'auto' adds steps, the error at which it stops: the sum
        over all elements of the columns, relative to the sum of the row's
        absolute attributions, whatever the unit of the output.
      with_features: whether the result has the rows' feature values too, as
        `features`.

    Returns:
      `attributions.Attributions`.

    Raises:
      ValueError: an argument is out of its range, 'exact' is requested for
        another network, a feature is missing, unknown or of a wrong shape, or a
        dict of `baselines` can be read in two ways. An example that cannot be
        parsed, misses a value or holds a NaN raises a `RowError`, which names
        its row.
      TypeError: an argument or a feature is of the wrong type.

    Warns:
      NotConverged: 'auto' did not meet `tolerance` on some rows; it reports
        whether more steps may help, or float32 is the limit.
      NearBaseline: the output of some rows is nearly that of their baseline, so
        that their attributions cancel or are rounding, and mean little. With
        all targets, if that is so for each of them.
      UnknownCategories: values of a feature are in no vocabulary of the
        columns that look it up.
    """
    suggestions.refuse_unknown(self.attribute, unknown)
    model = self.model
    arguments.check(model, output, method, num_steps, max_rows, tolerance)
    integrator = integrators.choose(
      model, output, method, num_steps, max_rows, tolerance
    )

    # Read.
    examples = example_forms.plain(examples)
    num_rows, read_fn = model.reader(examples)
    if isinstance(baselines, str):
      baselines = computed_baselines.of_examples(model, examples, baselines)
    starts = baseline_points.points(
      model, baselines, isinstance(examples, dict), num_rows, output, max_rows
    )
    targets = target_ids.plain(targets)
    is_all = isinstance(targets, str) and targets == 'all'
    given_ids = None if is_all else target_ids.ids(model, targets, num_rows)
    unknown_categories = None
    if model.vocabularies:
      unknown_categories = vocabularies.UnknownCounter(model.vocabularies)

    # Integrate, and carry back to the columns, a chunk of rows at a time.
    num_targets = model.num_outputs if is_all else 1
    sums = row_sums.RowSums(
      num_rows, num_targets, len(starts), integrators.layer_of(model)
    )

    def explain(rows):
      end = model.points_of_rows(
        read_fn, rows.start, rows.stop, output, unknown_categories
      )
      ids = None
      if not is_all:
        ids = end.predicted if given_ids is None else given_ids[rows]
      sums.begin(rows, end, ids)
      for start in starts:
        start = start.rows(rows)
        integral = integrator.integrate(start, end, ids)
        sums.add(rows, start, end, ids, integral)
      sums.finish(rows)

    most_rows = integrator.rows_per_call
    if not max_rows:
      numbers = num_targets * model.path_size
      most_rows = min(most_rows, memory.rows_within(memory.INTEGRALS, numbers))
    row_chunks.run(
      explain,
      num_rows,
      most_rows,
      integrator.rows_per_thread,
      integrator.num_threads,
    )

    # Record.
    if unknown_categories:
      unknown_categories.warn(stacklevel=2)
    convergence.warn(sums, tolerance, stacklevel=2)
    return sums.attributions(
      model,
      output,
      is_all,
      self._element_names,
      model.given_features(examples) if with_features else None,
    )

  def attribute_batches(
    self,
    batches: Iterable[Any],
    on_error: Union[str, Callable[..., Any]] = 'raise',
    **kwargs: Any,
  ) -> Iterator[attributions.Attributions]:
    """Returns an iterator over the attributions of batches of examples.

    For streams: no more than one batch is held at a time.

    Args:
      batches: iterable of batches as `attribute` takes them as `examples`. For
        a tf.data.Dataset of batches, `dataset.as_numpy_iterator()`.
      on_error: the treatment of rows that cannot be parsed, hold a NaN or
        cannot be computed. 'raise': the `RowError` is raised. 'skip': the batch
        is explained without such rows, and a `SkippedRows` warns of them. A
        function of (index of the batch, number of its rows, list of a
        `RowError` for each such row, by row): the same, without a warning; an
        error that it raises ends the iteration.
      **kwargs: the other arguments of `attribute`, the same for all batches.
        `baselines='mean'`, 'median' or 'sample' are those of all batches, which
        takes a pass over them of its own: `batches` must be a list, or
        something else that can be iterated again.

    Returns:
      iterator over `attributions.Attributions`, one per batch, which may have
      no rows.

    Raises:
      ValueError: `on_error` is not one of these. Otherwise as `attribute`.
    """
    suggestions.refuse_unknown(self.attribute, kwargs)
    example_forms.check_batches(batches)
    arguments.check_on_error(on_error)
    if isinstance(kwargs.get('baselines'), str):
      kwargs['baselines'] = computed_baselines.of_batches(
        self.model, batches, kwargs['baselines']
      )
    return self._attributions_of_batches(batches, on_error, kwargs)

  def _attributions_of_batches(self, batches, on_error, kwargs):
    for index, examples in enumerate(batches):
      if on_error != 'raise':  # They may be needed twice.
        examples = example_forms.plain(examples)
      try:
        result = self.attribute(examples, **kwargs)
      except row_errors.RowError as error:
        if on_error == 'raise' or error.of != 'examples':
          raise
        result, num_rows, errors = bad_rows.attributions_of_others(
          self, examples, error, kwargs
        )
        if on_error == 'skip':
          warning = bad_rows.SkippedRows(index, num_rows, errors)
          warnings.warn(warning, stacklevel=2)
        else:
          on_error(index, num_rows, errors)
      yield result

  def baselines_of(
    self,
    batches: Iterable[Any],
    strategy: str = 'mean',
    num_rows: int = 100,
    seed: int = 0,
  ) -> Any:
    """Returns baselines computed from data, in one pass over it.

    Args:
      batches: iterable of batches of examples, as `attribute_batches` takes.
      strategy: 'mean': the mean of each processed column, which for a one-hot
        column is the share of each category. 'median': the median for numeric
        columns (of at most 16384 rows chosen at random), the mean for others.
        'sample': some of the examples, chosen at random; attributions are then
        the mean over them as baselines. Whatever the strategy, an example that
        `attribute` would refuse is refused here.
      num_rows: how many examples 'sample' takes.
      seed: int, of the random choice.

    Returns:
      baselines as `attribute` takes them.

    Raises:
      ValueError: there is no such strategy, there are no examples, or one of
        them cannot be used.
      TypeError: `batches` is a single batch.
    """
    arguments.check_positive_integer('num_rows', num_rows)
    return computed_baselines.compute(
      self.model, batches, strategy, num_rows, seed
    )

  def close(self) -> None:
    """Frees the model. The instance cannot be used afterwards."""
    self.model.close()

  def __enter__(self) -> 'IntegratedGradients':
    return self

  def __exit__(self, *exc_info: Any) -> None:
    self.close()


def _element_names(model_columns, export_dir):
  """Returns the `ElementNames` of a model's columns."""
  export_dir = os.fsdecode(export_dir)
  if '://' not in export_dir:  # The working directory may change before use.
    export_dir = os.path.abspath(export_dir)
  return element_names.ElementNames(
    [column.name for column in model_columns],
    functools.partial(columns.element_names, model_columns, export_dir),
  )
