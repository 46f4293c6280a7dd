"""The checksum of TFRecords is that of its definition, and of TensorFlow."""

import os
import struct

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow.compat.v1 as tf

from tests.support import directories
from tf_dnn_annotations.cli import crc32c


def _by_definition(data):
  """Returns the remainder of a long division, bit by bit."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc ^= byte
    for _ in range(8):
      crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
  return crc ^ 0xFFFFFFFF


class Crc32cTest(parameterized.TestCase):
  @parameterized.parameters(
    # RFC 3720, B.4.
    (b'\x00' * 32, 0x8A9136AA),
    (b'\xff' * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b'123456789', 0xE3069283),
    (b'', 0),
  )
  def test_vectors_of_the_standard(self, data, expected):
    self.assertEqual(crc32c.values([data]).tolist(), [expected])
    self.assertEqual(crc32c.of_short(data), expected)

  def test_records_of_all_sizes_together(self):
    rng = np.random.RandomState(0)
    sizes = list(range(40)) + [63, 64, 65, 1000, 4095, 4096, 4097]
    records = [rng.bytes(size) for size in sizes]
    self.assertEqual(
      crc32c.values(records).tolist(), list(map(_by_definition, records))
    )
    self.assertEmpty(crc32c.values([]))

  def test_masked_as_tensorflow_writes_it(self):
    record = b'a record of some length'
    path = os.path.join(directories.new_dir(), 'x')
    with tf.io.TFRecordWriter(path) as writer:
      writer.write(record)
    with open(path, 'rb') as file:
      content = file.read()
    length, of_length = struct.unpack('<QI', content[:12])
    (of_data,) = struct.unpack('<I', content[-4:])
    self.assertEqual(length, len(record))
    self.assertEqual(crc32c.masked_of_short(content[:8]), of_length)
    self.assertEqual(crc32c.masked([record]).tolist(), [of_data])


if __name__ == '__main__':
  absltest.main()
