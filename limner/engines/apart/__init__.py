"""Any engine in a process of its own: a certain cancel, memory that is given back, one failure."""
