"""Spoils SavedModels and counts what becomes of it.

    python -m tests.properties.fuzz --minutes=20 --seed=1
    python -m tests.properties.fuzz --seed=1 --only=17     # one mutant again

A mutant is known by the seed and its number. It is judged in another process,
which is replaced when it dies or hangs; `reports` has the other verdicts. Exits
with 1 if there was any that must not be.
"""

import argparse
import collections
import multiprocessing
from multiprocessing import connection
import os
import resource
import shutil
import sys
import time

# As the command does before it loads TensorFlow, whose logs have many lines.
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'

# ruff: noqa: E402
import tensorflow.compat.v1 as tf

from tests.properties import bases
from tests.properties import judge
from tests.properties import mutations
from tests.properties import oracle
from tests.properties import reports

CRASH_AS_PLAIN = 'crash, as plain load'
CRASH = 'crash, ours alone'
VERDICTS = (*reports.VERDICTS, CRASH_AS_PLAIN, CRASH)
BAD = (reports.RAW, reports.WRONG, CRASH)

# What a mutant may take: seconds, and bytes beyond what Python has already.
_SECONDS = 20
_BYTES = 4 << 30
# After so many mutants a process is replaced, so that it stays small.
_MUTANTS_PER_PROCESS = 200

# The processes are forks of this one, which has loaded TensorFlow but has
# started nothing of it.
_context = multiprocessing.get_context('fork')


class Mutant(
  collections.namedtuple('Mutant', ['number', 'base', 'kind', 'description'])
):
  """What was done to which base."""

  __slots__ = ()


def _limit_memory():
  with open('/proc/self/statm') as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
  resource.setrlimit(resource.RLIMIT_AS, (size + _BYTES, size + _BYTES))


def _log_to_file():
  """Sends what this process writes, much of it TensorFlow's, to a file."""
  tf.logging.set_verbosity(tf.logging.ERROR)
  log = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
  os.dup2(log, 1)
  os.dup2(log, 2)


def _forked(function, *arguments, timeout=None):
  """Returns what a function returns in a process of its own.

  Raises:
    EOFError: the process died, or hung.
  """
  ours, theirs = _context.Pipe()

  def target():
    _log_to_file()
    theirs.send(function(*arguments))

  process = _context.Process(target=target)
  process.start()
  theirs.close()
  try:
    if not ours.poll(timeout):
      raise EOFError('hung')
    return ours.recv()
  finally:
    process.kill()
    process.join()


def _serve_plain(mutant_dir, base):
  """Does what is left of a mutant's work without tf_dnn_annotations."""
  _limit_memory()
  try:
    oracle.Oracle(mutant_dir, base).close()
  except oracle.NoOracle:
    pass


class _Worker(object):
  """A process that judges one mutant of a SavedModel after the other.

  Attributes:
    pipe: what to wait for.
    mutant: the `Mutant` at work, None if there is none.
    mutant_dir: its directory.
    deadline: when it must be done, as `time.monotonic` tells it.
  """

  def __init__(self, mutant_dir, models, expected, seed):
    self.mutant_dir, self.mutant = mutant_dir, None
    self._models, self._expected, self._seed = models, expected, seed
    self._start()

  def _start(self):
    self.pipe, theirs = _context.Pipe()
    self._process = _context.Process(target=self._serve, args=(theirs,))
    self._process.start()
    theirs.close()
    self._num_left = _MUTANTS_PER_PROCESS

  def _serve(self, pipe):
    _log_to_file()
    _limit_memory()
    while True:
      base = self._models[pipe.recv()]
      outcomes, _ = judge.judge(
        self.mutant_dir, base, self._expected[base.name]
      )
      pipe.send(outcomes)

  def begin(self, number):
    """Makes a mutant and has it judged."""
    if not self._num_left:
      self.stop()
      self._start()
    self._num_left -= 1
    index = number % len(self._models)
    base = self._models[index]
    shutil.rmtree(self.mutant_dir, ignore_errors=True)
    shutil.copytree(base.export_dir, self.mutant_dir)
    done = mutations.mutate(self.mutant_dir, self._seed, number)
    self.mutant = Mutant(number, base.name, *done)
    self.deadline = time.monotonic() + _SECONDS
    self.pipe.send(index)

  def outcomes(self):
    """Returns the outcomes that have come, or those of a dead process."""
    try:
      return self.pipe.recv()
    except (EOFError, ConnectionResetError):
      return self.failed('died')

  def failed(self, how):
    """Returns the outcomes of a process that died or hung; starts another."""
    self.stop()
    (base,) = (m for m in self._models if m.name == self.mutant.base)
    verdict = CRASH
    try:
      _forked(_serve_plain, self.mutant_dir, base, timeout=_SECONDS)
    except EOFError:
      verdict = CRASH_AS_PLAIN
    code = self._process.exitcode
    self._start()
    return [reports.Outcome(verdict, f'{how}, exit code {code}')]

  def stop(self):
    self._process.kill()
    self._process.join()
    self.pipe.close()


def run(numbers, seed, num_jobs, on_judged):
  """Judges mutants; makes SavedModels in the current directory.

  Args:
    numbers: iterable of the mutants' numbers.
    seed: int.
    num_jobs: int, how many processes.
    on_judged: function of a `Mutant`, its `Outcome`s, the worst first, and its
      directory.
  """
  models = _forked(bases.make, os.path.abspath('bases'))
  expected = {}
  for base in models:
    outcomes, expected[base.name] = _forked(judge.judge, base.export_dir, base)
    if outcomes[0].verdict != reports.RIGHT:
      raise RuntimeError(f'{base.name}, to which nothing was done: {outcomes}')
  workers = [
    _Worker(os.path.abspath(f'mutant_{i}'), models, expected, seed)
    for i in range(num_jobs)
  ]
  numbers = iter(numbers)
  try:
    while True:
      for worker in workers:
        number = next(numbers, None) if worker.mutant is None else None
        if number is not None:
          worker.begin(number)
      busy = [worker for worker in workers if worker.mutant is not None]
      if not busy:
        return
      rest = min(worker.deadline for worker in busy) - time.monotonic()
      ready = connection.wait([w.pipe for w in busy], max(0, rest))
      for worker in busy:
        if worker.pipe in ready:
          outcomes = worker.outcomes()
        elif time.monotonic() > worker.deadline:
          outcomes = worker.failed('hung')
        else:
          continue
        on_judged(worker.mutant, outcomes, worker.mutant_dir)
        worker.mutant = None
  finally:
    for worker in workers:
      worker.stop()


class _Counts(object):
  """Counts the verdicts of the kinds of mutants, and prints them."""

  def __init__(self, seed, kept_dir):
    self._seed, self._kept_dir = seed, kept_dir
    self._counts = collections.defaultdict(collections.Counter)

  def add(self, mutant, outcomes, mutant_dir):
    verdict, reason = outcomes[0]
    self._counts[mutant.kind][verdict] += 1
    if verdict in (reports.RIGHT, reports.ERROR):
      return
    print(
      f'{verdict}: --seed={self._seed} --only={mutant.number} '
      f'{mutant.base}: {mutant.kind}: {mutant.description}\n    {reason}',
      flush=True,
    )
    if self._kept_dir:
      kept = os.path.join(self._kept_dir, f'{self._seed}_{mutant.number}')
      shutil.rmtree(kept, ignore_errors=True)
      shutil.copytree(mutant_dir, kept)

  def total(self):
    """Returns {verdict: number of mutants}."""
    return sum(self._counts.values(), collections.Counter())

  def table(self):
    """Returns the counts as a Markdown table."""
    rows = sorted(self._counts.items()) + [('**all**', self.total())]
    lines = ['| mutation | mutants | ' + ' | '.join(VERDICTS) + ' |']
    lines.append('|---' * (2 + len(VERDICTS)) + '|')
    for kind, counts in rows:
      cells = [sum(counts.values())] + [counts[v] or '' for v in VERDICTS]
      lines.append(f'| {kind} | ' + ' | '.join(map(str, cells)) + ' |')
    return '\n'.join(lines)


def _numbers(arguments):
  """Yields the numbers of the mutants that the command line asks for."""
  if arguments.only is not None:
    yield arguments.only
    return
  end = time.monotonic() + 60 * arguments.minutes
  number = arguments.first
  while (
    arguments.mutants is None or number < arguments.first + arguments.mutants
  ):
    if arguments.mutants is None and time.monotonic() > end:
      return
    yield number
    number += 1


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--minutes', type=float, default=20, help='how long')
  parser.add_argument('--mutants', type=int, help='so many, not so long')
  parser.add_argument('--seed', type=int, default=1)
  parser.add_argument('--first', type=int, default=0, help='number to start at')
  parser.add_argument('--only', type=int, help='number of one mutant')
  parser.add_argument('--jobs', type=int, default=2, help='processes')
  parser.add_argument(
    '--directory', default='fuzz', help='where SavedModels are made'
  )
  parser.add_argument(
    '--keep', action='store_true', help='keep the mutants that are not right'
  )
  arguments = parser.parse_args()
  os.makedirs(arguments.directory, exist_ok=True)
  os.chdir(arguments.directory)
  counts = _Counts(
    arguments.seed, os.path.abspath('kept') if arguments.keep else None
  )
  started = time.monotonic()
  try:
    run(_numbers(arguments), arguments.seed, arguments.jobs, counts.add)
  except KeyboardInterrupt:
    print('Interrupted.')
  print('\n' + counts.table())
  total = counts.total()
  print(
    f'\n{sum(total.values())} mutants of seed {arguments.seed} in '
    f'{(time.monotonic() - started) / 60:.1f} minutes, TensorFlow '
    f'{tf.__version__}'
  )
  return 1 if any(total[verdict] for verdict in BAD) else 0


if __name__ == '__main__':
  sys.exit(main())
