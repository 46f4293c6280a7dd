"""A process that runs one peer.

`Worker` starts it. It reads one command per line, as JSON, and answers each in
one line. Peers can take turns that way without sharing a process, and the
memory of each can be measured.
"""

import ast
import json
import logging
import os
import subprocess
import sys
import time

import numpy as np

from benchmarks import cases
from benchmarks import peers


class Worker(object):
  """A process that runs one peer, as seen from the one that starts it."""

  def __init__(self, name):
    self._process = subprocess.Popen(
      [sys.executable, '-m', 'benchmarks.worker', name],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      encoding='utf-8',
    )

  def __getattr__(self, command):
    """Returns a method that has the process run a function of `_Peer`."""

    def run(**arguments):
      self._process.stdin.write(json.dumps([command, arguments]) + '\n')
      self._process.stdin.flush()
      line = self._process.stdout.readline()
      if not line:
        raise RuntimeError(
          f'{self._process.args[-1]!r} ended in {command!r} of {arguments}; '
          'its own message is above.'
        )
      return json.loads(line)

    return run

  def close(self):
    self._process.stdin.close()
    self._process.wait()


class _Peer(object):
  """The commands of a worker."""

  def __init__(self, name):
    self._class = peers.PEERS[name]
    self._peer = None

  def load(self, case, export_dir, num_rows):
    """Loads a case in place of the one before."""
    if hasattr(self._peer, 'close'):
      self._peer.close()
    self._peer = None
    width, hidden_units, num_classes = case
    case = cases.Case(width, tuple(hidden_units), num_classes)
    self._x = case.rows(num_rows)
    self._targets = case.targets(self._x)
    self._peer = self._class(case, export_dir)

  def best_setting(self, num_steps, num_rows):
    """Returns [the fastest setting as a str, rows/s with it]."""
    found = []
    for setting in self._class.SETTINGS:
      self._run(num_rows, num_steps, setting)  # Traces, compiles.
      found.append((self._run(num_rows, num_steps, setting), repr(setting)))
    seconds, setting = min(found)
    return [setting, num_rows / seconds]

  def seconds(self, num_rows, num_steps, setting, num_calls=1, **more):
    """Returns the seconds of some calls."""
    setting = dict(ast.literal_eval(setting), **more)
    return sum(
      self._run(num_rows, num_steps, setting) for _ in range(num_calls)
    )

  def values(self, num_rows, num_steps, setting, path):
    """Writes the attributions of the first rows."""
    np.save(
      path,
      self._peer.attribute(
        self._x[:num_rows],
        self._targets[:num_rows],
        num_steps,
        **ast.literal_eval(setting),
      ),
    )

  def memory(self, num_rows, num_steps, setting, num_calls=1, **more):
    """Returns the peak of bytes during calls, less those held before."""
    idle = resident_bytes('VmRSS')
    # Linux: forgets the peak so far.
    with open('/proc/self/clear_refs', 'w') as file:
      file.write('5')
    self.seconds(num_rows, num_steps, setting, num_calls, **more)
    return resident_bytes('VmHWM') - idle

  def _run(self, num_rows, num_steps, setting):
    # Rows are repeated where more are asked for than there are.
    copies = -(-num_rows // len(self._x))
    x, targets = self._x, self._targets
    if copies > 1:
      x, targets = np.tile(x, (copies, 1)), np.tile(targets, copies)
    x, targets = x[:num_rows], targets[:num_rows]
    start = time.perf_counter()
    self._peer.attribute(x, targets, num_steps, **setting)
    return time.perf_counter() - start


def resident_bytes(which):
  """Returns a field of Linux's status of this process: VmRSS or VmHWM."""
  with open('/proc/self/status') as file:
    for line in file:
      if line.startswith(which + ':'):
        return int(line.split()[1]) * 1024
  raise ValueError(f'`which` must be in /proc/self/status; got {which!r}.')


def main():
  # Libraries may print; answers go where they do not.
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  for name in ('tensorflow', 'alibi'):
    logging.getLogger(name).setLevel('ERROR')
  peer = _Peer(sys.argv[1])
  for line in sys.stdin:
    command, arguments = json.loads(line)
    print(json.dumps(getattr(peer, command)(**arguments)), file=answers)
    answers.flush()


if __name__ == '__main__':
  main()
