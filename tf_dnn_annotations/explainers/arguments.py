"""Checks of the arguments of `IntegratedGradients`, before it computes."""

import numpy as np

from tf_dnn_annotations.explainers import choices
from tf_dnn_annotations.integrals import rules
from tf_dnn_annotations.text import suggestions


def check(model, output, method, num_steps, max_rows, tolerance):
  """Raises ValueError unless the arguments of `attribute` are valid.

  All of them are checked for every network, whether the method uses them or
  not, so that a call is valid or not for all networks. `rules.rule` checks the
  number of steps of a rule.

  Args:
    model: the `annotated_model.AnnotatedModel`.
    output, method, num_steps, max_rows, tolerance: as `attribute` takes them.
  """
  _check_output(model, output)
  check_positive_integer('max_rows', max_rows)
  if method not in rules.RULE_NAMES:
    check_positive_integer('num_steps', num_steps)
  _check_positive('tolerance', tolerance, 'number', (float, int, np.number))
  if method == 'exact' and model.network is None:
    raise ValueError(
      "`method` 'exact' needs a network that is piecewise linear; got one in "
      f"which {model.unrecognized}. Use 'auto', which adds steps until the "
      'integral is good to `tolerance`.'
    )
  if method not in choices.METHODS:
    raise ValueError(
      "`method` must be 'auto', 'exact' or one of "
      f"{list(rules.RULE_NAMES)}; got {method!r}. 'auto' needs no number of "
      'steps.' + suggestions.did_you_mean(method, choices.METHODS)
    )


def check_on_error(on_error):
  """Raises ValueError unless `on_error` is valid for `attribute_batches`."""
  if on_error not in ('raise', 'skip') and not callable(on_error):
    raise ValueError(
      f"`on_error` must be 'raise', 'skip' or a function; got {on_error!r}. "
      "Use 'skip' to go on without rows that cannot be explained."
    )


def check_positive_integer(name, value):
  """Raises ValueError unless a named value is a positive integer, or None."""
  if value is not None:
    _check_positive(name, value, 'integer', (int, np.integer))


def _check_positive(name, value, kind, types):
  if isinstance(value, bool) or not isinstance(value, types) or not value > 0:
    raise ValueError(
      f'`{name}` must be a positive {kind}; got {value!r}. Leave it out for '
      'the default.'
    )


def _check_output(model, output):
  if output not in choices.OUTPUTS:
    raise ValueError(
      f'`output` must be one of {list(choices.OUTPUTS)}; got {output!r}. '
      'Logits are the usual choice.'
      + suggestions.did_you_mean(output, choices.OUTPUTS)
    )
  if output == 'probabilities' and model.kind == 'regressor':
    raise ValueError(
      "`output` must be 'logits' for a regressor, which stands for its "
      "prediction; got 'probabilities'. Leave it out."
    )
