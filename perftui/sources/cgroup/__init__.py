"""The control group: its limits and what it uses of them."""
