"""The model families and the one list of models."""
