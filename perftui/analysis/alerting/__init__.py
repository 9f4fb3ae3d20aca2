"""Alerts that remember: rules over a snapshot, their states over time, silences and events."""
