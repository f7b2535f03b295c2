"""The graph under construction, and the events of a program: one class per thing recorded."""
