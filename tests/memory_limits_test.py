"""What a model demands of memory grows with what is in it, not with claims."""

import pathlib
import resource
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

from tests.support import network_export
from tests.support import numpy_network
from tf_dnn_annotations.annotations import columns
from tf_dnn_annotations.saved_models import model_columns

_ROOT = pathlib.Path(__file__).absolute().parents[1]

_LOAD = """
import resource, sys
import tensorflow.compat.v1 as tf
import tf_dnn_annotations as tfda

def peak():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

tfda.IntegratedGradients(sys.argv[1]).close()
before = peak()
with tfda.IntegratedGradients(sys.argv[2]) as ig:
  print(ig.model.num_classes, len(ig.model.labels), peak() - before)
"""


class ClassesTest(absltest.TestCase):
  def test_loading_is_linear_in_classes(self):
    num_classes = 8000
    small, large = (
      network_export.export(
        numpy_network.random(1, [2, 2, number]),
        label_vocabulary=[f'label {i}' for i in range(number)],
      )
      for number in (3, num_classes)
    )
    found, labels, size = map(
      int,
      subprocess.run(
        [sys.executable, '-c', _LOAD, small, large],
        cwd=str(_ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
      ).stdout.split(),
    )
    self.assertEqual((found, labels), (num_classes, num_classes))
    # Kilobytes on Linux. A single float of each pair of classes takes 256 MB;
    # the labels, a chunk and the graph take some 60.
    self.assertLess(size, 160 << 10 if sys.platform == 'linux' else 160 << 20)


def _config(class_name, **config):
  return {'class_name': class_name, 'config': config}


_VOCABULARY = _config(
  'VocabularyListCategoricalColumn',
  key='x',
  vocabulary_list=['a'],
  num_oov_buckets=10**9,
)
_NUMERIC = _config('NumericColumn', key='x', shape=[20000, 20000])


class ElementNamesTest(parameterized.TestCase):
  @parameterized.parameters(
    (_NUMERIC,),
    (_config('BucketizedColumn', source_column=_NUMERIC, boundaries=[0.0]),),
    (_config('IndicatorColumn', categorical_column=_VOCABULARY),),
  )
  def test_of_a_config_that_is_wider_than_the_column(self, description):
    column = model_columns.Column(
      'x', description['class_name'], ('x',), 2, description['config']
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    names = columns.element_names([column], 'nowhere')
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    self.assertEqual(names, {'x': ['x[0]', 'x[1]']})
    self.assertLess(after - before, 1 << 20)


if __name__ == '__main__':
  absltest.main()
