"Every notebook runs from top to bottom, as nbdev_test runs it: this is how one command, pytest, covers the notebooks too."
import os, subprocess, sys, textwrap
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOKS = sorted(p.relative_to(ROOT/"nbs").as_posix() for p in (ROOT/"nbs").rglob("*.ipynb")
               if ".tmp." not in p.name and not any(part.startswith((".", "_")) for part in p.relative_to(ROOT/"nbs").parts))
CODE = textwrap.dedent("""
    import sys
    from pathlib import Path
    from nbdev.config import get_config
    from nbdev.test import test_nb
    ok, seconds = test_nb(Path(sys.argv[1]), skip_flags=get_config().tst_flags.split(), basepath=get_config().config_path)
    print(f"{seconds:.1f} s")
    sys.exit(0 if ok else 1)
""")


def test_there_are_notebooks(): assert len(BOOKS) > 15


@pytest.mark.parametrize("name", BOOKS)
def test_notebook(name):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    p = subprocess.run([sys.executable, "-c", CODE, str(ROOT/"nbs"/name)], cwd=ROOT/"nbs", env=env, capture_output=True, text=True, timeout=1800)
    assert p.returncode == 0, f"{name} fails:\n{(p.stdout + p.stderr)[-5000:]}"
