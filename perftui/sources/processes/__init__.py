"""All processes of the machine, at a cost that does not grow with what is not shown."""
