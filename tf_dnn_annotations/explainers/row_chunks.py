"""Rows in chunks, computed by several threads."""

from concurrent import futures

from tf_dnn_annotations.integrals import blas_threads


def run(function, num_rows, most_rows, least_rows, num_threads):
  """Calls a function for all chunks of rows.

  Args:
    function: function of the slice of a chunk's rows.
    num_rows: number of all rows; without any, nothing is called.
    most_rows: the most rows of a chunk.
    least_rows: rows that are worth a thread of their own, no more than
      `most_rows` of them.
    num_threads: how many threads call the function.
  """
  chunk = min(most_rows, max(least_rows, -(-num_rows // num_threads)))
  chunks = [
    slice(first, min(first + chunk, num_rows))
    for first in range(0, num_rows, chunk)
  ]
  if len(chunks) <= 1:
    for rows in chunks:
      function(rows)
    return
  # numpy and TensorFlow release the interpreter's lock while they compute.
  with blas_threads.one(), futures.ThreadPoolExecutor(num_threads) as pool:
    list(pool.map(function, chunks))
