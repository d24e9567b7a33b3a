"""Options: frozen dataclasses, read by the command line and stored in every run.

On the command line and in TOML files every option stands by its own flat name (`--bits`,
`bits = 6`); in Python the options are grouped by the room that reads them. Torch is not imported
here, so that `snnquant --help` stays fast. `python -m snnquant.config` prints all options as
Markdown.
"""

from snnquant.config.groups import (
    ConfidenceConfig,
    ConversionConfig,
    ModelConfig,
    NeuronConfig,
    SplitConfig,
    TrainingConfig,
)
from snnquant.config.methods import (
    DEFAULT_METHOD,
    METHODS,
    About,
    MethodConfig,
    QuantizationConfig,
    find_method,
    read_method,
    register_method,
)
from snnquant.config.networks import NETWORKS, NetworkInput
from snnquant.config.option_rows import OptionRow, markdown, option_table
from snnquant.config.options import FLAT, GROUPS, Option, options_of
from snnquant.config.run_config import (
    RunConfig,
    config_from_values,
    options_before,
    read_config,
    run_config_type,
    with_options_of_before,
    write_config,
)

__all__ = [
    "DEFAULT_METHOD",
    "FLAT",
    "GROUPS",
    "METHODS",
    "NETWORKS",
    "About",
    "ConfidenceConfig",
    "ConversionConfig",
    "MethodConfig",
    "ModelConfig",
    "NetworkInput",
    "NeuronConfig",
    "Option",
    "OptionRow",
    "QuantizationConfig",
    "RunConfig",
    "SplitConfig",
    "TrainingConfig",
    "config_from_values",
    "find_method",
    "markdown",
    "option_table",
    "options_before",
    "options_of",
    "read_config",
    "read_method",
    "register_method",
    "run_config_type",
    "with_options_of_before",
    "write_config",
]
