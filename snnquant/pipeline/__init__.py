"""The corridor from scene to report: a run folder and the stages that fill it."""
