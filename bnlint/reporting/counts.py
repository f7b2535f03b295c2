"""Numbers in sentences."""


def count(number: int, word: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number} {word}{'' if number == 1 else 's'}"
