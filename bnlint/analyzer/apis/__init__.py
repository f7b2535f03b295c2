"""What TensorFlow, slim, Keras and a little of Python's library do."""
