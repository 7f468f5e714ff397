"""Runs the commands that arrive as JSON lines and answers each with its time; small, so that starting a command costs the same for all.

It must not import anything of the house: it runs isolated.
"""

import json
import subprocess
import sys
import time

for line in sys.stdin:
    command = json.loads(line)
    started = time.perf_counter()
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    duration_s = time.perf_counter() - started
    answer = {"duration_s": duration_s, "returncode": ended.returncode, "output": ended.stdout.decode(errors="replace")}
    print(json.dumps(answer), flush=True)
