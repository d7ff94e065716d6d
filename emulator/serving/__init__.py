"""The outside that AWS clients speak to: the Invoke API and function URLs over HTTP."""
