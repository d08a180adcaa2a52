"A training that is killed and resumed ends exactly like one that was left alone."
import json, os, random, shutil, time
import pytest
from runs import hashes, log_of
from dit_edu.core import load_weights, save_weights, state_hash

COMMAND = {"vae": "train-vae", "dit": "train-dit"}
WEIGHTS = {"vae": ["vae_autoencoder_ckpt", "vae_discriminator_ckpt"], "dit": ["dit_ckpt"]}
# Everything that a resume could forget: accumulation, a ragged last window, flips, EMA, warm-up, decay, a discriminator that joins late,
# Muon for the autoencoder and Adam for the other two.
# Windows of 8 from 21 images: 3 steps in an epoch, 24 steps; checkpoints every 4, so that most kills fall between two.
CHANGES = {"dataset_params": {"flip": True},
           "train_params": {"save_every_steps": 4, "autoencoder_batch_size": 4, "autoencoder_acc_steps": 2, "autoencoder_epochs": 8, "autoencoder_ema_decay": 0.9,
                            "autoencoder_optimizer": "muon", "autoencoder_warmup_steps": 3, "autoencoder_lr_schedule": "cosine", "disc_start": 9, "disc_ramp": 6, "disc_adaptive": True,
                            "dit_batch_size": 4, "dit_acc_steps": 2, "dit_epochs": 8, "dit_warmup_steps": 3, "dit_lr_schedule": "linear", "latent_flips": True}}
TOTAL = 24


def contents(run, part):
    "What a training leaves behind: weights for people, and the last checkpoint with optimizers and averages."
    files = [run/f"{name}.safetensors" for name in WEIGHTS[part]] + [run/"checkpoints"/f"{part}_{TOTAL:08d}.safetensors"]
    return {f.name: (state_hash(state), meta) for f in files for state, meta in [load_weights(f)]}


def steps_done(run, part):
    path = run/f"{part}_log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_at(p, run, part, step, wait):
    "Wait until the log has passed a step, a moment longer, then kill -9."
    end = time.monotonic() + 900
    while steps_done(run, part) < step:
        assert p.poll() is None, f"ended by itself: {p.stderr}"
        assert time.monotonic() < end, f"step {step} was not reached: {p.stderr}"
        time.sleep(0.001)
    time.sleep(wait)
    p.kill()
    return p.wait().returncode


@pytest.fixture(scope="module")
def alone(workdir, run):
    "Both trainings, left alone."
    folder = workdir(n=21, **CHANGES)
    for command in ("train-vae", "train-dit"): run(command, "-c", "config.yaml", cwd=folder)
    return folder


def copy_of(alone, to, part):
    "The same work, with this training still to do."
    shutil.copytree(alone, to)
    run = to/"run"
    if part == "vae": shutil.rmtree(run)
    else:
        for f in [*run.glob("checkpoints/dit_*"), *run.glob("dit_*")]: f.unlink()
    return to


def unfinished(alone, to, part, start):
    "… begun, and killed after the second checkpoint."
    folder = copy_of(alone, to, part)
    assert kill_at(start(COMMAND[part], "-c", "config.yaml", cwd=folder), folder/"run", part, 10, 0) == -9
    return folder


def refused(run, part, folder, *args, says):
    "Exit code 2, one sentence, and not a byte changed."
    before = hashes(folder)
    p = run(COMMAND[part], "-c", "config.yaml", *args, cwd=folder, rc=2)
    lines = p.stderr.strip().split("\n")
    assert len(lines) == 1 and all(word in lines[0] for word in says), p.stderr
    assert hashes(folder) == before
    return lines[0]


@pytest.mark.parametrize("part, pictures", [("vae", "vae_autoencoder_samples"), ("dit", "dit_samples")])
def test_what_a_kill_left_half_written_goes(alone, tmp_path, run, part, pictures):
    shutil.copytree(alone, tmp_path/"work")
    left = [tmp_path/"work/run"/f for f in (f".{part}_log.tmp", f"checkpoints/.{part}_1.tmp.safetensors", f"{pictures}/.step_00000008-1-a.tmp.png")]
    for f in left: f.parent.mkdir(exist_ok=True); f.touch()
    run(COMMAND[part], "-c", "config.yaml", "--resume", cwd=tmp_path/"work")
    assert not any(f.exists() for f in left)


@pytest.mark.parametrize("part", COMMAND)
def test_killed_three_times(part, alone, tmp_path, start, run):
    seed = int.from_bytes(os.urandom(4), "little")
    rng = random.Random(seed)
    folder = copy_of(alone, tmp_path/"work", part)
    stops = [rng.randint(1, 3), rng.randint(6, 10), rng.randint(13, 17)] # the first one comes before any checkpoint
    for stop in stops:
        rc = kill_at(start(COMMAND[part], "-c", "config.yaml", "--resume", cwd=folder), folder/"run", part, stop, rng.uniform(0, 0.03))
        assert rc == -9, f"the kill at step {stop} came too late (seed {seed})"
    run(COMMAND[part], "-c", "config.yaml", "--resume", cwd=folder)
    want, got = log_of(alone/"run", part), log_of(folder/"run", part)
    assert [r["step"] for r in want] == list(range(1, TOTAL + 1))
    assert got == want, f"seed {seed}, stops {stops}"
    assert contents(folder/"run", part) == contents(alone/"run", part), f"seed {seed}, stops {stops}"
    assert not list((folder/"run").rglob(".*.tmp*"))


def test_the_log_is_worth_comparing(alone):
    "Losses differ from step to step, the discriminator joins at its step, EMA and live weights differ: equality above means something."
    vae, dit = (log_of(alone/"run", part) for part in COMMAND)
    assert len({r["loss"] for r in vae}) == len({r["loss"] for r in dit}) == TOTAL
    assert [r["step"] for r in vae if "d_loss" in r][0] == 10 and all("grad_norm_disc" in r for r in vae[9:])
    for part, name, ema in (("vae", "vae_autoencoder_ckpt", "ema.vae.vae."), ("dit", "dit_ckpt", "ema.dit.")):
        state, _ = load_weights(alone/"run"/f"{name}.safetensors")
        ckpt, _ = load_weights(alone/"run/checkpoints"/f"{part}_{TOTAL:08d}.safetensors")
        live = {k.removeprefix(f".{ema.replace('ema', 'modules', 1)}"): v for k, v in ckpt.items() if k.startswith(f".{ema.replace('ema', 'modules', 1)}")}
        shadow = {k.removeprefix(f".{ema}"): v for k, v in ckpt.items() if k.startswith(f".{ema}")}
        assert set(shadow) == set(live) == set(state)
        assert state_hash(state) == state_hash(shadow) != state_hash(live)


@pytest.mark.parametrize("part", COMMAND)
def test_killed_between_the_last_checkpoint_and_the_weights(part, alone, tmp_path, run):
    folder = tmp_path/"work"
    shutil.copytree(alone, folder)
    for name in WEIGHTS[part]: (folder/"run"/f"{name}.safetensors").unlink()
    run(COMMAND[part], "-c", "config.yaml", "--resume", cwd=folder)
    assert contents(folder/"run", part) == contents(alone/"run", part)


@pytest.mark.parametrize("part", COMMAND)
def test_resuming_a_finished_training_changes_nothing(part, alone, tmp_path, run):
    folder = tmp_path/"work"
    shutil.copytree(alone, folder)
    run(COMMAND[part], "-c", "config.yaml", "--resume", cwd=folder)
    assert hashes(folder) == hashes(alone)


@pytest.mark.parametrize("part", COMMAND)
def test_more_steps_can_be_added(part, alone, tmp_path, run):
    folder = tmp_path/"work"
    shutil.copytree(alone, folder)
    run(COMMAND[part], "-c", "config.yaml", "--resume", f"train_params.{'autoencoder' if part == 'vae' else 'dit'}_epochs=9", cwd=folder)
    assert [r["step"] for r in log_of(folder/"run", part)] == list(range(1, TOTAL + 4))
    assert log_of(folder/"run", part)[:TOTAL] == log_of(alone/"run", part)


@pytest.mark.parametrize("part", COMMAND)
def test_a_half_written_log_line(part, alone, tmp_path, start, run):
    folder = unfinished(alone, tmp_path/"work", part, start)
    with open(folder/"run"/f"{part}_log.jsonl", "a") as f: f.write('{"step": 99, "loss": 0.1')
    left = [folder/"run"/sub/f".{part}_x-7-abcdef.tmp.safetensors" for sub in ("", "checkpoints")] # and so are files that were being written
    for f in left: f.write_bytes(b"half")
    run(COMMAND[part], "-c", "config.yaml", "--resume", cwd=folder)
    assert log_of(folder/"run", part) == log_of(alone/"run", part)
    assert not any(f.exists() for f in left)


@pytest.mark.parametrize("part", COMMAND)
def test_refusals(part, alone, tmp_path, start, run):
    folder = unfinished(alone, tmp_path/"work", part, start)
    prefix = "autoencoder" if part == "vae" else "dit"
    newest = sorted((folder/"run/checkpoints").glob(f"{part}_*"))[-1]
    refused(run, part, folder, says=["run", "--resume", "task_name"]) # starting over
    refused(run, part, folder, "--resume", f"train_params.{prefix}_batch_size=2", says=[f"{prefix}_batch_size", "4", "2", newest.name])
    refused(run, part, folder, "--resume", "train_params.seed=8", says=["train_params.seed", "3", "8"])
    refused(run, part, folder, "--resume", "autoencoder_params.num_mid_layers=2", says=["num_mid_layers"])
    refused(run, part, folder, "--resume", f"train_params.{prefix}_optimizer={'adam' if part == 'vae' else 'muon'}", says=["optimizer", part, newest.name])
    refused(run, part, folder, "--resume", f"train_params.{prefix}_ema_decay=0", says=["EMA", part, newest.name])
    if part == "vae": refused(run, part, folder, "--resume", "train_params.disc_weight=0", says=["network disc", newest.name])
    if part == "dit":
        refused(run, part, folder, "--resume", "diffusion_params.target=v", says=["target", "'eps'", "'v'"])
        refused(run, part, folder, "--resume", "train_params.dit_weight_decay=0.1", says=["dit_weight_decay", "0.0", "0.1"])
        refused(run, part, folder, "--resume", "train_params.latent_flips=false", says=["latent_flips", "True", "False"])
    else: # the transformer's latents are stale then, which is another sentence
        shutil.copy(folder/"images/red/0.png", folder/"images/red/more.png")
        refused(run, part, folder, "--resume", says=["number of images", "21", "22", newest.name])
        (folder/"images/red/more.png").unlink()
    whole, key = newest.read_bytes(), {"vae": "autoencoder_params.num_mid_layers", "dit": "dit_params.num_layers"}[part]
    tensors, meta = load_weights(newest) # as written by a version that did not know the key yet
    save_weights(newest, tensors, meta | {"fingerprint": {k: v for k, v in meta["fingerprint"].items() if k != key}})
    refused(run, part, folder, "--resume", f"{key}=3", says=[newest.name, f"another {part} than the config", "task_name"])
    for broken in (whole[:len(whole) // 2], b""):
        newest.write_bytes(broken)
        refused(run, part, folder, "--resume", says=[newest.name, "remove it", f"{part}_00000004.safetensors"])
    newest.unlink() # as the sentence says: an earlier one is there, and is enough
    run(COMMAND[part], "-c", "config.yaml", "--resume", cwd=folder)
    assert contents(folder/"run", part) == contents(alone/"run", part)


@pytest.mark.parametrize("part", COMMAND)
def test_finished_weights_without_checkpoints_are_kept(part, alone, tmp_path, run):
    "A run that was copied or exported: going on would begin at step 0 and write over them."
    folder = tmp_path/"work"
    shutil.copytree(alone, folder)
    for f in (folder/"run/checkpoints").glob(f"{part}_*"): f.unlink()
    refused(run, part, folder, "--resume", says=[WEIGHTS[part][0], "finished", f"{part}_*", "task_name"])


@pytest.mark.parametrize("part", COMMAND)
def test_a_finished_training_is_not_started_over(part, alone, run):
    refused(run, part, alone, says=["run", "--resume", "task_name"])
