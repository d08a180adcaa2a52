"What the tests of whole runs share: a way to run commands, and one finished run."
import fcntl, os
from pathlib import Path
import pytest
from forkserver import Command, ForkServer
from runs import draw_images, write_config


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    "A DIT_EDU_CACHE of our own, so that a machine's cache can neither help nor harm."
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def server(cache):
    server = ForkServer({"DIT_EDU_CACHE": str(cache)})
    yield server
    server.close()


@pytest.fixture(scope="session")
def start(server, cache, tmp_path_factory):
    "start('train-vae', …, cwd=…) begins a command and gives it back running."
    def start(*args, cwd, env=None, fsize=None):
        return Command(server, args, cwd, {"DIT_EDU_CACHE": str(cache), **(env or {})}, fsize, tmp_path_factory.mktemp("io"))
    return start


@pytest.fixture(scope="session")
def run(start):
    "run('train-vae', …, cwd=…) runs a command to its end: .returncode, .stdout, .stderr; rc=None accepts any exit code."
    def run(*args, cwd, rc=0, **kw):
        p = start(*args, cwd=cwd, **kw).wait()
        assert rc is None or p.returncode == rc, f"dit_edu {' '.join(map(str, args))}: exit code {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p
    return run


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    "Makes a folder with images/ and config.yaml; workdir(**changes) takes write_config's changes."
    def make(n=24, size=20, **changes):
        folder = tmp_path_factory.mktemp("work")
        draw_images(folder/"images", n, size)
        write_config(folder/"config.yaml", **changes)
        return folder
    return make


@pytest.fixture(scope="session")
def finished(workdir, run, tmp_path_factory):
    "A folder with a finished run in run/: all four commands. Tests read it and leave it as it is (copy it to change it)."
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base)/"finished"
    with open(shared.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX) # with several test processes, the first one makes it
        if not (shared/"done").exists():
            folder = workdir()
            for command in ("train-vae", "infer-vae", "train-dit", "sample"): run(command, "-c", "config.yaml", cwd=folder)
            folder.rename(shared)
            (shared/"done").touch()
    return shared
