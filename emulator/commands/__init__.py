"""The commands of `preflight`, one module each, imported when its command is called (`emulator.cli`)."""
