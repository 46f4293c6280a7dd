"""One line gives any TensorFlow its tf.estimator, or says what it needs."""

import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from tf_dnn_annotations import modern_tf
from tf_dnn_annotations.modern_tf import stand_ins

_HAS_STAND_INS = modern_tf.make_importable()

# ruff: noqa: E402
import tensorflow.compat.v1 as tf
from tensorflow.python.distribute import distribute_config
from tensorflow_estimator.python.estimator import run_config

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_INIT_RUN_CONFIG = {
  'stand_in': stand_ins.make()[stand_ins.TRAINING].init_run_config
}
if not _HAS_STAND_INS:
  # What it stands in for.
  _INIT_RUN_CONFIG['tensorflow'] = (
    run_config.distribute_coordinator_training.init_run_config
  )

_CLUSTER = {
  'cluster': {
    'chief': ['localhost:1'],
    'worker': ['localhost:2', 'localhost:3'],
    'ps': ['localhost:4'],
  },
  'task': {'type': 'worker', 'index': 1},
}
_WITH_MASTER = {
  'cluster': {'master': ['localhost:1'], 'worker': ['localhost:2']},
  'task': {'type': 'master', 'index': 0},
}


def _run(program):
  """Runs a program in a process of its own; returns the finished process."""
  path = [str(_ROOT)] + list(filter(None, [os.getenv('PYTHONPATH')]))
  environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path))
  # As a user finds it.
  environment.pop('TF_USE_LEGACY_KERAS', None)
  return subprocess.run(
    [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(program)],
    env=environment,
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    universal_newlines=True,
  )


class InstallTest(parameterized.TestCase):
  def _assert_succeeds(self, program):
    done = _run(program)
    self.assertEqual(done.returncode, 0, done.stderr)

  def test_gives_tf_estimator_in_all_threads(self):
    self._assert_succeeds("""
        import sys, threading
        from tf_dnn_annotations import modern_tf
        assert 'tensorflow' not in sys.modules

        failed = []
        def install():
          try:
            modern_tf.install()
          except BaseException as error:
            failed.append(error)
        threads = [threading.Thread(target=install) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        modern_tf.install()
        assert not failed, failed

        import tensorflow as tf
        import tensorflow.compat.v1 as tf1
        import tensorflow.compat.v2 as tf2
        from tensorflow_estimator.python.estimator.canned import dnn
        assert tf1.estimator.DNNClassifier is dnn.DNNClassifier
        assert tf2.estimator.DNNClassifier is dnn.DNNClassifierV2
        if tf.__version__ >= '2':
          assert tf.estimator.DNNClassifier is dnn.DNNClassifierV2
          for module in (tf, tf1, tf2):
            v1, v2 = module.compat.v1, module.compat.v2
            assert v1.estimator.DNNClassifier is dnn.DNNClassifier
            assert v2.estimator.DNNClassifier is dnn.DNNClassifierV2
          from tensorflow.compat.v1.estimator import DNNRegressor
          assert DNNRegressor is dnn.DNNRegressor
          from tensorflow.keras.layers import Layer
          assert isinstance(tf1.layers.Dense(1), Layer)  # Not so in Keras 3.
        """)

  def test_estimators_leave_the_tf_namespace_alone(self):
    self._assert_succeeds(f"""
        import tf_dnn_annotations
        tf_dnn_annotations.DNNClassifierWithLayerAnnotations
        import tensorflow as tf
        assert not {_HAS_STAND_INS} or not hasattr(tf, 'estimator')
        assert not {_HAS_STAND_INS} or not hasattr(tf.compat.v1, 'estimator')
        """)

  @parameterized.named_parameters(
    (
      'no_tf_keras',
      "sys.modules['tf_keras'] = None",
      r'not installed: tf_keras\. Run: pip install --no-deps '
      r'"tf_keras==2\.\d+\.\*" .*\. Then start anew$',
    ),
    (
      'no_tensorflow_estimator',
      "sys.modules['tensorflow_estimator'] = None",
      r'not installed: tensorflow_estimator\. Run: pip install --no-deps '
      r'tensorflow-estimator==2\.15\.0 .*\. Then start anew$',
    ),
    (
      'neither',
      "sys.modules['tf_keras'] = sys.modules['tensorflow_estimator'] = None",
      r'not installed: tensorflow_estimator and tf_keras\. Run: pip install '
      r'--no-deps tensorflow-estimator==2\.15\.0 "tf_keras==2\.\d+\.\*" '
      r'.*\. Then start anew$',
    ),
    (
      'neither_and_tensorflow_loaded',
      "sys.modules['tf_keras'] = sys.modules['tensorflow_estimator'] = None; "
      'import tensorflow',
      r'not installed: tensorflow_estimator and tf_keras\. Run: pip install '
      r'--no-deps tensorflow-estimator==2\.15\.0 "tf_keras==2\.\d+\.\*" '
      r'.*\. Then start anew, with this line at the top of the program, above '
      r'all that imports TensorFlow: from .* modern_tf\.install\(\)$',
    ),
    (
      'neither_and_keras_3_asked_for',
      "sys.modules['tf_keras'] = sys.modules['tensorflow_estimator'] = None; "
      "os.environ['TF_USE_LEGACY_KERAS'] = '0'",
      r'not installed: tensorflow_estimator and tf_keras\. Run: .*\. Then '
      r'start anew, without TF_USE_LEGACY_KERAS in the environment$',
    ),
    (
      'keras_3_loaded',
      # Too late: TensorFlow looked at it before.
      "import tensorflow; os.environ['TF_USE_LEGACY_KERAS'] = '1'",
      'Move this line to the top of the program, above all that imports '
      'TensorFlow, and start anew: from .* import modern_tf',
    ),
    (
      'keras_3_asked_for',
      "os.environ['TF_USE_LEGACY_KERAS'] = '0'",
      "TF_USE_LEGACY_KERAS is '0'. Unset it, or set it to 1",
    ),
    (
      'tensorflow_estimator_failed_before',
      'with contextlib.suppress(Exception): import tensorflow_estimator',
      'Move this line to the top of the program, above all other imports',
    ),
  )
  def test_says_what_it_needs(self, before, remedy):
    done = _run(f"""
        import contextlib, os, sys
        {before}
        from tf_dnn_annotations import modern_tf
        try:
          modern_tf.install()
        except ImportError as error:
          print('install:', error)
        try:
          import tf_dnn_annotations.estimators
        except ImportError as error:
          print('import:', error)
        """)
    self.assertEqual(done.returncode, 0, done.stderr)
    told = done.stdout
    if _HAS_STAND_INS:
      (install, imported) = told.splitlines()
      self.assertRegex(install, f'^install: .*{remedy}')
      self.assertRegex(imported, f'^import: .*{remedy}')
    else:
      self.assertNotIn('install:', told)

  @parameterized.parameters(True, False)
  def test_warns_of_a_tf_keras_for_another_tensorflow(self, is_other):
    if not _HAS_STAND_INS:
      self.skipTest('This TensorFlow brings its Keras.')
    done = _run(f"""
        import os, warnings
        os.environ['TF_USE_LEGACY_KERAS'] = '1'
        import tensorflow as tf, tf_keras
        if {is_other}:
          tf_keras.__version__ = '2.1.3'
        from tf_dnn_annotations import modern_tf
        with warnings.catch_warnings(record=True) as caught:
          warnings.simplefilter('always')
          modern_tf.install()
          modern_tf.install()
        print(tf.__version__)
        for warning in caught:
          if 'tf_keras must' in str(warning.message):
            print(warning.category.__name__, warning.message)
        tf.estimator.DNNClassifier
        """)
    self.assertEqual(done.returncode, 0, done.stderr)
    version, *told = done.stdout.splitlines()
    self.assertLen(told, int(is_other))
    if is_other:
      minor = re.escape('.'.join(version.split('.')[:2]))
      self.assertRegex(
        told[0],
        rf'^RuntimeWarning .*tf_keras 2\.1\.3 with TensorFlow '
        rf'{re.escape(version)}\. Run: pip install --no-deps '
        rf'"tf_keras=={minor}\.\*"$',
      )

  def test_does_nothing_where_there_is_tf_estimator(self):
    done = _run("""
        import os, sys
        before = dict(os.environ)
        from tf_dnn_annotations import modern_tf
        modern_tf.install()
        print(os.environ == before and 'tensorflow' not in sys.modules)
        """)
    self.assertEqual(done.stdout.strip(), str(not _HAS_STAND_INS))


class RunConfigTest(parameterized.TestCase):
  def _run_config(self, init, tf_config, **arguments):
    environment = {'TF_CONFIG': json.dumps(tf_config)}
    with mock.patch.dict(os.environ, environment), mock.patch.object(
      run_config.distribute_coordinator_training,
      'init_run_config',
      _INIT_RUN_CONFIG[init],
    ):
      return run_config.RunConfig(**arguments)

  @parameterized.product(
    [
      dict(tf_config={}, modes=('train', 'eval')),
      dict(tf_config=_CLUSTER, modes=('eval',)),
      dict(tf_config=_WITH_MASTER, modes=('train',)),
    ],
    init=sorted(_INIT_RUN_CONFIG),
    is_experimental=[False, True],
  )
  def test_is_whole(self, tf_config, modes, init, is_experimental):
    """But for the strategies, it is the one that TensorFlow itself makes."""
    strategies = {
      f'{mode}_distribute': tf.distribute.OneDeviceStrategy('/cpu:0')
      for mode in modes
    }
    arguments = strategies
    if is_experimental:
      arguments = {
        'experimental_distribute': distribute_config.DistributeConfig(
          **strategies
        )
      }
    config = self._run_config(init, tf_config, **arguments)
    without = vars(self._run_config(init, tf_config))
    self.assertContainsSubset(without, vars(config))
    for name, value in without.items():
      if 'distribute' not in name:
        self.assertEqual(str(getattr(config, name)), str(value), name)
    for mode in ('train_distribute', 'eval_distribute'):
      self.assertIs(getattr(config, mode), strategies.get(mode))
    self.assertIsNone(config._distribute_coordinator_mode)

  @parameterized.product(init=sorted(_INIT_RUN_CONFIG))
  def test_takes_a_strategy_once(self, init):
    strategy = tf.distribute.OneDeviceStrategy('/cpu:0')
    with self.assertRaisesRegex(ValueError, 'train_distribute'):
      self._run_config(
        init,
        {},
        train_distribute=strategy,
        experimental_distribute=distribute_config.DistributeConfig(strategy),
      )

  @parameterized.parameters(
    dict(tf_config=_CLUSTER, remote_cluster=None),
    dict(tf_config={}, remote_cluster=_CLUSTER['cluster']),
  )
  def test_refuses_a_strategy_over_machines(self, tf_config, remote_cluster):
    with self.assertRaisesRegex(NotImplementedError, 'Leave .* out'):
      self._run_config(
        'stand_in',
        tf_config,
        experimental_distribute=distribute_config.DistributeConfig(
          tf.distribute.OneDeviceStrategy('/cpu:0'),
          remote_cluster=remote_cluster,
        ),
      )


class TPUTest(parameterized.TestCase):
  @parameterized.parameters(
    ('tpu_estimator', 'TPUEstimator'),
    ('tpu_estimator', 'TPUEstimatorSpec'),
    ('_tpu_estimator_embedding', 'EmbeddingConfigSpec'),
  )
  def test_is_refused_when_used(self, module, name):
    modules = stand_ins.make()
    (path,) = (path for path in modules if path.endswith(f'.{module}'))
    with self.assertRaisesRegex(NotImplementedError, f'{name} needs .* 2.15'):
      getattr(modules[path], name)('model', mode='train')


if __name__ == '__main__':
  absltest.main()
