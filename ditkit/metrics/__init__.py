"""Measuring what was generated: functions of samples and references, no files, no models of their own."""
