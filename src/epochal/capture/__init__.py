"""What is recorded about a training without its doing anything.

Plain functions and objects that `epochal.run` calls from its background thread. Standard library
only at import; psutil and NVIDIA's library come in when they are used.
"""
