"""Measuring what was generated: functions of samples and references, and the networks whose features they compare."""
