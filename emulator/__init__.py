"""Lambda Preflight: AWS Lambda functions on this machine, under Lambda's real limits."""

__version__ = "0.1.0"
