"""The tests of the house; what they share is in conftest.py, leaks.py and fakes/."""
