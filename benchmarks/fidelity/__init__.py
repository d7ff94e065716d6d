"""How near the emulator's CPU is to Lambda's: the same tasks beside published measurements of the real one."""
