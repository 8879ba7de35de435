"""Connections below HTTP: limits, time-outs, and how their log lines are bounded."""
