"""Graphs: node table, batch norms, train ops, and what is wrong with them."""
