"""A module in a folder of the package, for a handler whose name has a slash."""


def handler(event: object, context: object) -> str:
    """Say where it is."""
    return __name__
