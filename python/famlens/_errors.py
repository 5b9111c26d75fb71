"""Exceptions, with the words that the command line prints."""


class Error(Exception):
    """Everything that famlens raises."""


class ArgumentError(Error, ValueError):
    """An argument outside of its range, or one that contradicts another."""


class ImageError(Error, ValueError):
    """Bytes that are no image that can be read."""


class ModelError(Error, ValueError):
    """A model that cannot be read or run."""


class FileError(Error, OSError):
    """A file that cannot be read or written."""


class EngineError(Error, RuntimeError):
    """No GPU, a lost GPU, or an engine that failed."""
