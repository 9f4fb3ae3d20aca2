"""What a family of metrics means in terms of operations."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class MetricMapping(msgspec.Struct, frozen=True, kw_only=True):
    """How one histogram or summary of a program becomes operations.

    `metric` is its name without `_bucket`, `_count` or `_sum`; `seconds_per_unit` turns its values
    into seconds. The values of those `labels` that a series has make the name of the operation,
    with a blank between them; of the labels in `either`, which say the same in different words,
    only the first one counts. `preferred` are labels that a person chose: a series that has one
    of them is named by them alone.

    The first of `status_labels` that a series has tells how a call ended, and `failure` is a
    regular expression that the whole of its value must match. Without such a label on the
    histogram, `counter` names a counter that has it. `failure_counter` counts failed calls that
    are not in the histogram, `cancelled_counter` those that were cancelled. The first of
    `service_labels` that a series has names the service; else job or address do.
    """

    preset: str
    metric: str
    labels: tuple[str, ...]
    either: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    status_labels: tuple[str, ...] = ()
    failure: str = ""
    counter: str = ""
    failure_counter: str = ""
    cancelled_counter: str = ""
    seconds_per_unit: float = 1.0
    service_labels: tuple[str, ...] = ()

    @property
    def name_labels(self) -> tuple[str, ...]:
        """All labels that can be part of an operation's name, as for `sum by (…)`."""
        return tuple(dict.fromkeys((*self.preferred, *self.labels)))

    def naming(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Return those labels of a series that make the name of its operation, in order."""
        chosen = tuple(label for label in self.preferred if labels.get(label))
        if chosen:
            return chosen
        found = []
        decided = False
        for label in self.labels:
            if not labels.get(label):
                continue
            if label in self.either:
                if decided:
                    continue
                decided = True
            found.append(label)
        return tuple(found)

    def operation(self, labels: Mapping[str, str]) -> str:
        """Return the name of the operation of a series, that of the metric without any label."""
        return " ".join(labels[label] for label in self.naming(labels)) or self.metric

    def status(self, labels: Mapping[str, str]) -> str | None:
        """Return how the calls of a series ended, None where it does not tell."""
        return next((labels[label] for label in self.status_labels if labels.get(label)), None)

    def service(self, labels: Mapping[str, str]) -> str:
        """Return the service that a series names, empty where it names none."""
        return next((labels[label] for label in self.service_labels if labels.get(label)), "")
