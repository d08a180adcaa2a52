"""Starts `dit_edu …` commands in processes of their own, without paying for the import of torch each time.

One process imports everything, then forks for each command: a command starts in milliseconds, is a real process (it can be
killed with SIGKILL, it has its own exit code, stdout and stderr), and runs `dit_edu.cli.main` exactly as the shell does.
DIT_EDU_REAL_PROCESSES=1 makes the tests start a fresh `python -m dit_edu.cli` for each command instead (slower).
"""
import json, os, resource, signal, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).resolve()
ONE_THREAD = {k: "1" for k in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def limit_file_size(size):
    "Let no file of this process grow beyond `size` bytes: what a full disk looks like to a program."
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def serve():
    "The parent: one JSON request a line on stdin, one JSON answer a line on stdout."
    import torch, accelerate, tqdm.auto  # noqa: F401
    import dit_edu.cli, dit_edu.pipeline, dit_edu.train_dit  # noqa: F401
    answers = os.fdopen(os.dup(1), "w")
    ended = {}
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        if "argv" in ask:
            pid = os.fork()
            if pid == 0: _command(ask)
            reply = {"pid": pid}
        else:
            while True:
                try: pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError: break
                if pid == 0: break
                ended[pid] = os.waitstatus_to_exitcode(status)
            reply = {"rc": ended.get(ask["poll"])}
        print(json.dumps(reply), file=answers, flush=True)


def _command(ask):
    "The child: never returns."
    rc = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler) # a shell's background jobs ignore Ctrl-C, and so would we
        for fd, flags, name in ((0, os.O_RDONLY, os.devnull), (1, os.O_WRONLY | os.O_CREAT, ask["out"]), (2, os.O_WRONLY | os.O_CREAT, ask["err"])):
            os.dup2(os.open(name, flags, 0o644), fd)
        os.chdir(ask["cwd"])
        os.environ.update(ask["env"])
        if ask["fsize"]: limit_file_size(ask["fsize"])
        sys.argv = ["dit_edu", *ask["argv"]]
        from dit_edu.cli import main
        main()
    except SystemExit as e: rc = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        for f in (sys.stdout, sys.stderr):
            try: f.flush()
            except OSError: pass
        os._exit(rc)


class Command:
    "A running `dit_edu` command."
    def __init__(self, server, argv, cwd, env, fsize, folder):
        self.server, self.out, self.err = server, folder/"out", folder/"err"
        self.popen = None
        env = {**ONE_THREAD, "PYTHONUNBUFFERED": "1", **env}
        if fsize: env["TQDM_DISABLE"] = "1" # the limit holds for stderr too: leave its room to the message
        if server.real:
            set_limit = (lambda: limit_file_size(fsize)) if fsize else None
            self.popen = subprocess.Popen([sys.executable, "-m", "dit_edu.cli", *map(str, argv)], cwd=cwd, env={**os.environ, **env}, preexec_fn=set_limit,
                                          stdin=subprocess.DEVNULL, stdout=self.out.open("w"), stderr=self.err.open("w"))
            self.pid = self.popen.pid
        else:
            ask = dict(argv=list(map(str, argv)), cwd=str(cwd), env=env, fsize=fsize, out=str(self.out), err=str(self.err))
            self.pid = server.ask(ask)["pid"]
        self.returncode = None

    def poll(self):
        if self.returncode is None: self.returncode = self.popen.poll() if self.popen else self.server.ask({"poll": self.pid})["rc"]
        return self.returncode

    def wait(self, timeout=900):
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"still running after {timeout} s: {self.stderr[-2000:]}")
            time.sleep(0.01)
        return self

    def kill(self):
        try: os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError: pass

    # bytes, since read_text would turn the carriage returns of progress bars into lines
    @property
    def stdout(self): return self.out.read_bytes().decode(errors="replace") if self.out.exists() else ""
    @property
    def stderr(self): return self.err.read_bytes().decode(errors="replace") if self.err.exists() else ""


class ForkServer:
    "The client's end."
    def __init__(self, env=None):
        self.real, self.process = bool(os.environ.get("DIT_EDU_REAL_PROCESSES")), None
        if self.real: return
        self.process = subprocess.Popen([sys.executable, str(HERE)], env={**os.environ, **ONE_THREAD, **(env or {})}, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline().strip() != "ready": raise RuntimeError("dit_edu cannot be imported: see the error above")

    def ask(self, what):
        self.process.stdin.write(json.dumps(what) + "\n"); self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        if self.process: self.process.stdin.close(); self.process.wait(30)


if __name__ == "__main__": serve()
