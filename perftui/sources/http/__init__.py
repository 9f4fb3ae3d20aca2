"""One way to ask a web server: target, deadline, limits, and errors a pane can show."""
