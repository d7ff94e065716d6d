"""`python -m benchmarks`: the emulator beside `sam local invoke` and AWS's Runtime Interface Emulator (RIE)."""
