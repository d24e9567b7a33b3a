"""The one exception for wrong user input."""


class InputError(ValueError):
    """Wrong user input: a workload, hardware file, option or argument cannot be used.

    ``str(error)`` is one line that names the file, layer and field, the value found and the value
    expected. `pim-sim` prints it and exits with 2; a library caller catches it as a ``ValueError``.

    >>> from pim_sim import load_hardware
    >>> load_hardware("sram_66nm")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    pim_sim.errors.InputError: hardware: found 'sram_66nm', expected a path ending in .toml or ...
    """
