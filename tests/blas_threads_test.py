"""Matrix products keep to their thread where asked for, and only there."""

import threading

from absl.testing import absltest

from tf_dnn_annotations.integrals import blas_threads


class BlasThreadsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    functions = blas_threads._functions()
    # The numpy that the tests are run with, from a wheel, has OpenBLAS.
    self.assertIsNotNone(functions)
    self._get, self._set = functions
    self.addCleanup(self._set, self._get())
    self._set(2)

  def test_one_thread_meanwhile(self):
    with blas_threads.one():
      self.assertEqual(self._get(), 1)
    self.assertEqual(self._get(), 2)

  def test_restored_after_an_error(self):
    with self.assertRaises(KeyError):
      with blas_threads.one():
        raise KeyError
    self.assertEqual(self._get(), 2)

  def test_the_last_to_leave_restores(self):
    first_is_in, second_has_left = threading.Event(), threading.Event()
    seen = []

    def first():
      with blas_threads.one():
        first_is_in.set()
        second_has_left.wait()
        seen.append(self._get())

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait()
    with blas_threads.one():
      pass
    second_has_left.set()
    thread.join()
    self.assertEqual(seen, [1])
    self.assertEqual(self._get(), 2)


if __name__ == '__main__':
  absltest.main()
