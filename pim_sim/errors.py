"""The one exception of pim_sim that means: what the user gave is wrong."""


class InputError(ValueError):
    """A workload, hardware file or option cannot be used.

    ``str(error)`` is one line that names the file, layer and field, what was found and what was
    expected. `pim-sim` prints it and exits with 2; a library caller catches it as a ``ValueError``.
    """
