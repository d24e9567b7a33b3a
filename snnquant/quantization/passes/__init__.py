"""Passes: functions that change a network once, before or after its quantizers are put on."""
