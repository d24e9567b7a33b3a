"""A run folder and the stages that fill it, from the scene to the report."""
