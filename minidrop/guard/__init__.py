"""Checks while ops run, so that mistakes are found where they are made: nothing here computes a result."""
