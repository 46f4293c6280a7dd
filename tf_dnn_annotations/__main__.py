"""`python -m tf_dnn_annotations` is the command `tf_dnn_annotations`."""

from tf_dnn_annotations.cli import main

if __name__ == '__main__':
  main.run()
