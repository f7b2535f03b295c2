"""Why all test images get the same class: the evidence of every half, joined into ranked causes."""
