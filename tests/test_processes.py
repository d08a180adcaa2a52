"Two processes with half the batch each follow the curve of one process."
import os, shutil, socket, subprocess, sys
import pytest
from runs import log_of
from dit_edu.core import load_weights

COMMAND = {"vae": "train-vae", "dit": "train-dit"}
PREFIX = {"vae": "autoencoder", "dit": "dit"}
# 21 images, windows of 8: the last one holds 5. 17 images, two micro-batches of 4: the last window holds one image, so one process has none.
CASES = {"plain": (24, 8, 1), "ragged": (21, 8, 1), "accumulated": (24, 4, 2), "accumulated ragged": (17, 4, 2)}
CHANGES = {"dataset_params": {"flip": True}, "train_params": {"save_every_steps": 1000, "disc_start": 2, "disc_adaptive": False, "dit_ema_decay": 0.9}}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def in_two(start, *args, cwd):
    "What torchrun --nproc-per-node 2 does: two processes that are told of each other."
    env = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "ACCELERATE_USE_CPU": "true"}
    both = [start(*args, cwd=cwd, env={**env, "RANK": str(r), "LOCAL_RANK": str(r)}) for r in range(2)]
    for p in both:
        p.wait()
        assert p.returncode == 0, "\n".join(q.stderr for q in both)
    return both


def assert_same_curve(one, two, part, rel=1e-4):
    a, b = log_of(one, part), log_of(two, part)
    assert len(a) == len(b) >= 9
    for r, q in zip(a, b):
        assert r.keys() == q.keys() and (r["step"], r["epoch"], r["lr"]) == (q["step"], q["epoch"], q["lr"])
        assert r.get("count_sum") == q.get("count_sum") # how many samples fell into each range of t
        for k, v in r.items(): # loss and its parts to 1e-4 of their size; logits and norms may be near zero
            if k in ("loss", "rec", "kl", "mse_sum"): assert q[k] == pytest.approx(v, rel=rel, abs=1e-6), f"{k} at step {r['step']}"
            elif k != "count_sum": assert q[k] == pytest.approx(v, rel=20 * rel, abs=max(1e-3, 10 * rel)), f"{k} at step {r['step']}"


def assert_close_weights(one, two, name, atol=1e-5): # a hundredth of the way that a weight can go here; seen: 1e-7
    a, b = (load_weights(run/name)[0] for run in (one, two))
    assert a.keys() == b.keys() and all((a[k] - b[k]).abs().max() < atol for k in a)


def both_ways(part, case, workdir, run, start, finished, **more):
    "Train in one process and in two; give back the two runs."
    n, batch, acc = CASES[case]
    p, runs = PREFIX[part], []
    epochs = 12 // -(-n // (batch * acc)) # about twelve steps
    for world in (1, 2):
        folder = workdir(n=n, **CHANGES)
        if part == "dit":
            (folder/"run").mkdir()
            shutil.copy(finished/"run/vae_autoencoder_ckpt.safetensors", folder/"run")
        args = [COMMAND[part], "-c", "config.yaml", f"train_params.{p}_batch_size={batch // world}", f"train_params.{p}_acc_steps={acc}",
                f"train_params.{p}_epochs={epochs}", f"train_params.{p}_lr=1e-4", *(f"{k}={v}" for k, v in more.items())]
        run(*args, cwd=folder) if world == 1 else in_two(start, *args, cwd=folder)
        runs.append(folder/"run")
    return runs


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("part", COMMAND)
def test_two_processes_follow_one(part, case, workdir, run, start, finished):
    # every second case caches its latents, the others encode on the spot
    one, two = both_ways(part, case, workdir, run, start, finished, **{"train_params.save_latents": str(case in ("plain", "accumulated ragged")).lower()})
    assert_same_curve(one, two, part)
    assert_close_weights(one, two, "vae_autoencoder_ckpt.safetensors" if part == "vae" else "dit_ckpt.safetensors")


def test_two_processes_follow_one_with_an_adaptive_weight(workdir, run, start, finished):
    one, two = both_ways("vae", "plain", workdir, run, start, finished, **{"train_params.disc_adaptive": "true"})
    assert_same_curve(one, two, "vae")


def test_torchrun(workdir, run, finished, cache):
    "The real launcher, as the notebook says."
    folder = workdir(**CHANGES)
    run("train-vae", "-c", "config.yaml", "train_params.autoencoder_lr=1e-4", cwd=folder)
    (folder/"run").rename(folder/"one")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "DIT_EDU_CACHE": str(cache)}
    p = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port()), "-m", "dit_edu.cli",
                        "train-vae", "-c", "config.yaml", "train_params.autoencoder_lr=1e-4", "train_params.autoencoder_batch_size=4"], cwd=folder, env=env, capture_output=True, text=True, timeout=900)
    assert p.returncode == 0, p.stderr
    assert_same_curve(folder/"one", folder/"run", "vae", rel=2e-3) # this one is about the launcher


def test_a_mistake_ends_both_processes(workdir, start):
    folder = workdir(**CHANGES)
    env = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "ACCELERATE_USE_CPU": "true"}
    both = [start("train-vae", "-c", "config.yaml", "dataset_params.im_path=nowhere", cwd=folder, env={**env, "RANK": str(r), "LOCAL_RANK": str(r)}) for r in range(2)]
    assert [p.wait(300).returncode for p in both] == [2, 2] and all("nowhere" in p.stderr for p in both)
