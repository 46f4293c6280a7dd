"""The names that arguments of `attribute` accept; loads no TensorFlow."""

from tf_dnn_annotations.integrals import rules

# `output`.
OUTPUTS = ('logits', 'probabilities')
# `method`.
METHODS = ('auto', 'exact') + rules.RULE_NAMES
# `baselines` that are computed from examples.
STRATEGIES = ('mean', 'median', 'sample')
