"""Tools for writing ops: check a gradient (`gradcheck`), draw a graph (`draw_graph`)."""
