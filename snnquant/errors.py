"""The one exception that means: what the user gave is wrong."""


class InputError(ValueError):
    """A file, option or value from the user cannot be used.

    ``str(error)`` is one line that names the file or option, what was found and what was expected.
    Commands print it and exit with 2; a library caller catches it as a ``ValueError``.
    """
