"""Jobs of train_and_evaluate on this machine, as a cluster would run them.

`run` starts one process per task of a job and gives each its TF_CONFIG. Run as
a program, this file is such a task.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2

from tests.support import model_cases

HEAD = 'multi_class'
MAX_STEPS = 20
SAVE_STEPS = 10
EXPORTERS = ('final', 'latest', 'best')
# A job takes about 20 seconds, and several times that on a busy machine. After
# this time it is taken for one that hangs.
_TIMEOUT_SECS = 400


def case(base_dir):
  """Returns the columns of a job and rows for them.

  Args:
    base_dir: directory that all tasks see; the vocabulary is written there.
  """
  vocabulary = os.path.join(base_dir, 'colors.txt')
  if not os.path.exists(vocabulary):
    pathlib.Path(vocabulary).write_text('red\ngreen\nblue\n')

  def make_columns():
    colors = tf.feature_column.categorical_column_with_vocabulary_file(
      'color', vocabulary, vocabulary_size=3, num_oov_buckets=2
    )
    seen = tf.feature_column.categorical_column_with_identity('seen', 5)
    return [
      tf.feature_column.numeric_column('pair', shape=(2,)),
      tf.feature_column.embedding_column(colors, 2),
      tf.feature_column.embedding_column(seen, 3),
      tf.feature_column.indicator_column(seen),
    ]

  return model_cases.Case('job', make_columns, ('pair', 'color', 'seen'), True)


def estimator(base_dir, annotated, version, **arguments):
  """Returns the estimator of a job."""
  return model_cases.estimator_class(HEAD, version, annotated)(
    hidden_units=[4, 3],
    feature_columns=case(base_dir).columns(),
    n_classes=3,
    batch_norm=True,
    **arguments,
  )


def model_dir(base_dir):
  return os.path.join(base_dir, 'model')


def steps(base_dir, task_type, task_id):
  """Returns the number of steps that a task of a finished job trained."""
  return int(_steps_file(base_dir, task_type, task_id).read_text())


def run(base_dir, annotated, version, tasks=None, strategy=''):
  """Runs a job to its end.

  Args:
    base_dir: a new directory for everything that the job writes.
    annotated: whether the annotated estimator is trained, or the ordinary one.
    version: 1 or 2, for the V1 and the V2 estimators.
    tasks: {task type ('chief', 'worker', 'ps', 'evaluator'): how many}, or None
      for a job of one process, without TF_CONFIG.
    strategy: name of one of `_STRATEGIES`.

  Raises:
    RuntimeError: a task failed or took too long. The message holds the logs.
  """
  case(base_dir)  # Writes the vocabulary: here, not by several tasks at once.
  command = [sys.executable, '-m', 'tests.support.local_cluster', base_dir]
  command += [str(int(annotated)), str(version), strategy]
  processes = {}
  with contextlib.ExitStack() as stack:
    for name, tf_config in _tf_configs(tasks or {}, stack):
      log = stack.enter_context(
        open(os.path.join(base_dir, name + '.log'), 'w')
      )
      processes[name] = subprocess.Popen(
        command,
        cwd=pathlib.Path(__file__).absolute().parents[2],
        env=dict(
          os.environ,
          PYTHONPATH=os.pathsep.join(filter(None, sys.path)),
          TF_GRPC_REUSE_PORT='true',  # See _free_address.
          **tf_config,
        ),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
      )
      stack.callback(_kill, processes[name])
    _wait(processes, base_dir)


def _tf_configs(tasks, stack):
  """Returns a list of (name of a task, its environment variables)."""
  if not tasks:
    return [('local', {})]
  cluster = {
    task_type: [_free_address(stack) for _ in range(number)]
    for task_type, number in tasks.items()
  }
  if 'ps' in cluster:  # A strategy wants its evaluator in the cluster.
    del cluster['evaluator']
  return [
    (
      f'{task_type}_{i}',
      {
        'TF_CONFIG': json.dumps(
          {'cluster': cluster, 'task': {'type': task_type, 'index': i}}
        )
      },
    )
    for task_type, number in tasks.items()
    for i in range(number)
  ]


def _kill(process):
  process.kill()
  process.wait()


def _wait(processes, base_dir):
  """Waits for all tasks to end but the servers, which never do."""
  deadline = time.monotonic() + _TIMEOUT_SECS
  running = dict(processes)
  while any(not name.startswith('ps') for name in running):
    for name, process in list(running.items()):
      if process.poll() is not None:
        del running[name]
        if process.returncode or name.startswith('ps'):
          raise RuntimeError(f'{name} failed.\n{_logs(base_dir)}')
    if time.monotonic() > deadline:
      raise RuntimeError(
        f'{sorted(running)} did not end within {_TIMEOUT_SECS} seconds.\n'
        f'{_logs(base_dir)}'
      )
    time.sleep(0.1)


def _logs(base_dir):
  return '\n'.join(
    f'--- {log.stem}\n{log.read_text(errors="replace")[-5000:]}'
    for log in sorted(pathlib.Path(base_dir).glob('*.log'))
  )


def _free_address(stack):
  """Returns an address on loopback that is reserved until `stack` is closed.

  A task takes seconds to bind it, and other jobs may run at the same time. So a
  socket that does not listen holds the port, and the server shares it.
  """
  sock = stack.enter_context(socket.socket())
  sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
  sock.bind(('127.0.0.1', 0))
  return '127.0.0.1:%d' % sock.getsockname()[1]


def _steps_file(base_dir, task_type, task_id):
  return pathlib.Path(base_dir, f'{task_type}_{task_id}.steps')


class _TrainsTogether(tf.train.SessionRunHook):
  """Waits until every task that trains is ready, and counts its steps.

  Otherwise the chief would finish so small a job before a worker has begun.
  """

  def __init__(self, base_dir, config):
    self._all = [
      _steps_file(base_dir, task_type, task_id)
      for task_type in ('chief', 'worker')
      for task_id in range(
        len(config.cluster_spec.as_dict().get(task_type, []))
      )
    ]
    self._own = _steps_file(base_dir, config.task_type, config.task_id)
    self._num_steps = 0

  def after_create_session(self, session, coord):
    self._own.write_text('0')
    while not all(path.exists() for path in self._all):
      time.sleep(0.05)

  def after_run(self, run_context, run_values):
    self._num_steps += 1
    self._own.write_text(str(self._num_steps))


def _replicas():
  """Returns a strategy of two replicas on one machine."""
  # The default cross-device reduction hangs on two CPUs, with ordinary
  # estimators too.
  return tf2.distribute.MirroredStrategy(
    ['cpu:0', 'cpu:1'],
    cross_device_ops=tf2.distribute.ReductionToOneDevice(),
  )


def _workers():
  """Returns a strategy of a replica on each worker."""
  tf.disable_eager_execution()  # Its own error message asks for this.
  return tf.distribute.experimental.MultiWorkerMirroredStrategy()


_STRATEGIES = {'': lambda: None, 'replicas': _replicas, 'workers': _workers}


def main(base_dir, annotated, version, strategy):
  """Runs the task that TF_CONFIG describes."""
  tf.config.experimental.set_virtual_device_configuration(
    tf.config.experimental.list_physical_devices('CPU')[0],
    [tf.config.experimental.VirtualDeviceConfiguration()] * 2,
  )
  distribution = _STRATEGIES[strategy]()
  config = tf.estimator.RunConfig(
    model_dir=model_dir(base_dir),
    tf_random_seed=3,
    save_checkpoints_steps=SAVE_STEPS,
    experimental_max_worker_delay_secs=0,
    train_distribute=distribution,
    eval_distribute=distribution if strategy == 'replicas' else None,
  )
  arguments, hooks = {}, []
  if version == '1' and not strategy:
    arguments['input_layer_partitioner'] = tf.fixed_size_partitioner(2)
  if not strategy:
    hooks.append(_TrainsTogether(base_dir, config))
  job = case(base_dir)
  receiver_fn = job.serving_input_receiver_fn()
  tf.estimator.train_and_evaluate(
    estimator(
      base_dir, annotated == '1', int(version), config=config, **arguments
    ),
    tf.estimator.TrainSpec(
      job.input_fn(HEAD, repeat=True), max_steps=MAX_STEPS, hooks=hooks
    ),
    tf.estimator.EvalSpec(
      job.input_fn(HEAD, repeat=True),
      steps=2,
      exporters=[
        tf.estimator.FinalExporter('final', receiver_fn),
        tf.estimator.LatestExporter('latest', receiver_fn),
        tf.estimator.BestExporter('best', receiver_fn),
      ],
      start_delay_secs=0,
      throttle_secs=1,
    ),
  )


if __name__ == '__main__':
  main(*sys.argv[1:])
