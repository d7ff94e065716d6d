"""Lambda's price list, what a function costs a month, and what a server would."""
