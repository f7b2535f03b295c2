"""Which files belong together, what a module name means, where programs begin."""
