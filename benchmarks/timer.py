"""Runs the commands that arrive as JSON lines and answers each with its time; small, so that starting a command costs the same for all.

It must not import anything of the house: it runs isolated.
"""

import json
import os
import subprocess
import sys
import time

for line in sys.stdin:
    command = json.loads(line)
    # A file rather than a pipe: a detached container keeps its output open, and the end of a pipe would never come.
    with os.fdopen(os.memfd_create("output"), "w+b") as output:
        started = time.perf_counter()
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
        duration_s = time.perf_counter() - started
        output.seek(0)
        answer = {"duration_s": duration_s, "returncode": ended.returncode, "output": output.read().decode(errors="replace")}
    print(json.dumps(answer), flush=True)
