"""`%container`, `%%container`, `%%dockerfile` and `%%in`: they read the line, call the command and show the result.

It must not know the engine: the command table does. Loading it imports no widget library.
"""
