"""A sweep over memory sizes and what it recommends."""
