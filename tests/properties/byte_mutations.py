"""Ways to spoil the bytes of a SavedModel's files.

A kind is a function of (`random.Random`, the SavedModel's directory), which
returns in a few words what it has done; `None` if there is nothing to do it to.
"""

import os


def _files(directory):
  return sorted(
    os.path.join(parent, name)
    for parent, _, names_ in os.walk(directory)
    for name in names_
  )


def read(path):
  with open(path, 'rb') as file:
    return bytearray(file.read())


def write(path, data):
  with open(path, 'wb') as file:
    file.write(data)


def _of_file(change_fn):
  """Returns a kind that changes the bytes of one file that has some."""

  def kind(rng, directory):
    paths = [path for path in _files(directory) if os.path.getsize(path)]
    path = rng.choice(paths)
    data = read(path)
    description = change_fn(rng, data)
    write(path, data)
    return f'{os.path.relpath(path, directory)}: {description}'

  return kind


def flip_bits(rng, data):
  places = [rng.randrange(8 * len(data)) for _ in range(rng.choice((1, 1, 8)))]
  for place in places:
    data[place // 8] ^= 1 << place % 8
  return f'flipped bits {places}'


def _truncate(rng, data):
  length = rng.randrange(len(data))
  del data[length:]
  return f'cut to {length} bytes'


def _insert_bytes(rng, data):
  place = rng.randrange(len(data) + 1)
  new = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 64))))
  data[place:place] = new
  return f'inserted {len(new)} bytes at {place}'


def _delete_bytes(rng, data):
  place, length = rng.randrange(len(data)), rng.choice((1, 4, 64))
  del data[place : place + length]
  return f'deleted {length} bytes at {place}'


def _overwrite(rng, data):
  place, length = rng.randrange(len(data)), rng.choice((4, 16, 256))
  byte = rng.choice((0, 255))
  length = min(length, len(data) - place)
  data[place : place + length] = bytes([byte]) * length
  return f'{length} bytes at {place} are {byte}'


def _remove_file(rng, directory):
  path = rng.choice(_files(directory))
  os.remove(path)
  return f'removed {os.path.relpath(path, directory)}'


def _exchange_files(rng, directory):
  one, other = rng.sample(_files(directory), 2)
  data = read(one), read(other)
  write(one, data[1])
  write(other, data[0])
  return f'exchanged {os.path.basename(one)} and {os.path.basename(other)}'


KINDS = {
  'bits flipped': _of_file(flip_bits),
  'file cut': _of_file(_truncate),
  'bytes inserted': _of_file(_insert_bytes),
  'bytes deleted': _of_file(_delete_bytes),
  'bytes overwritten': _of_file(_overwrite),
  'file removed': _remove_file,
  'files exchanged': _exchange_files,
}
