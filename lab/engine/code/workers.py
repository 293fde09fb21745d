"""Processes that compile: started when there is something to do, ended when it is done."""

import json
import os
import queue
import subprocess
import sys
import threading

from lab.engine.code.sources import ROOT


class Workers:
    """A few compiling processes; `each` hands them stages and yields (stage, error) as they finish."""

    def __init__(self, n):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "lab.engine.code.build"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=ROOT,
            )
            for _ in range(n)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stdin.close()
            if process.poll() is None:
                process.terminate()
            process.wait()
            process.stdout.close()

    def each(self, stages, job_of):
        """Compile the stages, each where a process is free."""
        waiting, done = queue.SimpleQueue(), queue.SimpleQueue()
        for number, stage in enumerate(stages):
            waiting.put((number, stage))
        threads = [threading.Thread(target=self._serve, args=(process, waiting, done, job_of), daemon=True) for process in self.processes]
        for thread in threads:
            thread.start()
        for _ in stages:
            yield done.get()

    def _serve(self, process, waiting, done, job_of):
        while True:
            try:
                number, stage = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                process.stdin.write(json.dumps({"id": number, **job_of(stage)}) + "\n")
                process.stdin.flush()
                reply = json.loads(process.stdout.readline() or '{"ok": false, "error": "the compiling process ended"}')
                done.put((stage, None if reply["ok"] else reply["error"]))
            except Exception as error:  # a worker that dies must not leave the caller waiting
                done.put((stage, f"{type(error).__name__}: {error}"))
