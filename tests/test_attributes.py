"Guards for attributes: what the data say, what the network is told, what a person asks for, and a network that learns them later."
import numpy as np, pytest, torch
from collections import Counter
from dit_edu.config import load_config
from dit_edu.core import DitEduError, load_weights, save_weights
from dit_edu.data import AvatarDataset, ImageFolder, avatar_attributes, attribute_words, number_attributes
from dit_edu.dit import DiT
from dit_edu.embeddings import LabelEmbedder
from dit_edu.guidance import guided
from dit_edu.pipeline import Pipeline, load_run
from dit_edu.train_dit import DiTTask, train_dit
from dit_edu.train_vae import train_vae
from runs import draw_images, write_config

TABLE = {"cat": {"ears": {"flat": .2, "up": .3}, "tail": {"long": .9999}}, "dog": {"ears": {"up": .9}}} # numbers 0 to 3


def network(**kw):
    torch.manual_seed(0)
    dit = DiT(**{**dict(input_size=8, in_channels=4, hidden_size=32, depth=3, num_heads=4, num_classes=2, learn_sigma=False, num_attributes=4), **kw}).eval()
    for p in dit.parameters():
        if not p.any(): torch.nn.init.normal_(p, std=.1)
    return dit


def pipeline(dit=None): return Pipeline(dit or network(), None, None, (4, 8, 8), ["cat", "dog"], attributes=TABLE)


# the data

def test_every_value_has_its_number():
    said = [{"ears": "up", "eyes": "two"}, {"ears": "flat", "eyes": "two", "hat": "red"}, {"ears": "up", "size": 3.}, {"ears": "up", "eyes": "two"}]
    table, numbers = number_attributes(said, ["cat", "cat", "dog", "cat"])
    assert table == {"cat": {"ears": {"flat": .333333, "up": .666667}, "hat": {"red": .333333}}} # eyes are alike in all cats; one dog tells nothing
    assert numbers.tolist() == [[1, -1], [0, 2], [-1, -1], [1, -1]] and attribute_words(table)[2] == ('cat', 'hat', 'red')


def test_numbers_are_put_into_boxes():
    table, numbers = number_attributes([{"turn": v} for v in (-19.99, -11., 0.5, 9.9, 10.1, 19.2)] + [{}], ["cat"] * 7, boxes=4)
    assert table == {"cat": {"turn": {"-20..-10": round(2 / 7, 6), "-10..0": 0., "0..10": round(2 / 7, 6), "10..20": round(2 / 7, 6)}}}
    assert numbers.tolist() == [[0], [0], [2], [2], [3], [3], [-1]]


def test_what_avatars_have(tmp_path):
    data = AvatarDataset(60, 8, root=tmp_path)
    table, numbers = data.attribute_labels()
    words = attribute_words(table)
    assert numbers.shape[0] == 60 and numbers.max() < len(words)
    for i in (3, 13, 24, 57):
        own, c = avatar_attributes(data.styles[i % 10], f"train-0-{i}"), data.styles[i % 10]
        mine = {words[j][1]: words[j][2] for j in numbers[i] if j >= 0}
        assert set(mine) == set(own) & set(table[c]) and {words[j][0] for j in numbers[i] if j >= 0} == {c}
        for part, v in mine.items():
            if isinstance(own[part], float): assert float(v.split("..")[0]) - .1 < own[part] < float(v.split("..")[1]) + .1
            else: assert own[part] == v
    assert not any(k.endswith("Color") for c in table for k in table[c])
    file = next(tmp_path.glob("*.attributes.npz"))
    before = file.stat().st_mtime_ns
    assert (data.attribute_labels()[1] == numbers).all() and file.stat().st_mtime_ns == before # read, not made again
    whole = file.read_bytes()
    for broken in (whole[:100], b"", whole[:200] + bytes(3) + whole[203:]):
        file.write_bytes(broken)
        with pytest.raises(DitEduError, match="broken.*delete it"): data.attribute_labels()
    assert ImageFolder(draw_images(tmp_path/"own", 4), 16).attribute_labels()[0] == {}


# the network

def test_vectors_are_added_and_hidden_with_their_label():
    e = LabelEmbedder(3, 8, .1, num_attributes=5).eval()
    w = e.embedding_table.weight
    y = torch.tensor([[1, 0, 4], [2, 3, -1], [3, -1, -1]])
    torch.testing.assert_close(e(y), torch.stack([w[1] + w[4] + w[8], w[2] + w[7], w[3]]))
    torch.testing.assert_close(e(y, torch.tensor([True, False, False])), torch.stack([w[3], w[2] + w[7], w[3]]))
    torch.testing.assert_close(LabelEmbedder(3, 8, 0., 5)(y[:2]).shape, torch.Size([2, 8])) # without a null row too
    for bad, says in (([[1, 5]], "0 to 4"), ([[1, -2]], "0 to 4"), ([[4, 0]], "labels lie from 0 to 3")):
        with pytest.raises(DitEduError, match=says): e(torch.tensor(bad))
    for y in ([[1, 0]], [[1, -1]]):
        with pytest.raises(DitEduError, match="no attributes"): LabelEmbedder(3, 8, .1)(torch.tensor(y))


def test_guidance_pushes_away_from_no_label_and_no_attributes():
    dit, x, t = network(), torch.randn(2, 4, 8, 8), torch.tensor([700, 700])
    y = torch.tensor([[0, 1, 2], [1, 3, -1]])
    with torch.no_grad():
        with_all, bare, nothing = dit(x, t, y), dit(x, t, y[:, 0]), dit(x, t)
        torch.testing.assert_close(guided(dit, y, 3.)(x, 700), nothing + 3 * (with_all - nothing))
        torch.testing.assert_close(guided(dit, y[:1], 3.)(x, 700)[:1], (nothing + 3 * (with_all - nothing))[:1]) # one for all
        torch.testing.assert_close(guided(dit, y, 0.)(x, 700), nothing)
    assert (with_all - bare).abs().max() > .01
    with pytest.raises(DitEduError, match="0 to 3"): guided(dit, torch.tensor([[0, 4]]))
    with pytest.raises(DitEduError, match="knows no attributes"): guided(network(num_attributes=0), y)
    with pytest.raises(DitEduError, match="shape"): network(num_attributes=0)(x, t, y)


# what a person asks for

def test_drawn_as_often_as_the_data_have_them():
    pipe = pipeline()
    y = pipe.tell(pipe.labels("cat", 2000), seed=5)
    assert y.shape == (2000, 3) and torch.equal(y, pipe.tell(pipe.labels("cat", 2000), seed=5)) and not torch.equal(y, pipe.tell(pipe.labels("cat", 2000), seed=6))
    ears = Counter(w.get("ears") for w in pipe.told(y))
    assert abs(ears["flat"] / 2000 - .2) < .04 and abs(ears["up"] / 2000 - .3) < .04 and abs(ears[None] / 2000 - .5) < .04
    assert all(w["tail"] == "long" for w in pipe.told(y))
    assert torch.equal(y[:5], pipe.tell(pipe.labels("cat", 5), seed=5)[:, :3]) # an image's own draw does not depend on how many there are


def test_where_a_part_lies_belongs_to_the_part():
    pipe = pipeline()
    pipe.attributes = {"cat": {"ring": {"bold": .25, "thin": .25}, "ringRotate": {"-9..0": .2, "0..9": .3}, "tailRotate": {"-9..0": .5}}}
    said = pipe.told(pipe.tell(pipe.labels("cat", 1000)))
    turned = [w for w in said if "ring" in w]
    assert 400 < len(turned) < 600 and all(("ring" in w) == ("ringRotate" in w) for w in said)
    assert abs(Counter(w["ringRotate"] for w in turned)["0..9"] / len(turned) - .6) < .08 and 400 < sum("tailRotate" in w for w in said) < 600
    assert not any("ringRotate" in w for w in pipe.told(pipe.tell(pipe.labels("cat", 50), {"ring": "none"})))
    assert all("ringRotate" in w for w in pipe.told(pipe.tell(pipe.labels("cat", 50), {"ring": "bold"})))
    with pytest.raises(DitEduError, match="needs a ring.*bold, thin"): pipe.tell(pipe.labels("cat", 1), {"ring": "none", "ringRotate": "0..9"})
    assert pipe.told(pipe.tell(pipe.labels("cat", 1), {"ring": "thin", "ringRotate": "0..9"}))[0]["ringRotate"] == "0..9"


def test_asked_for_and_drawn():
    pipe = pipeline()
    mixed = pipe.labels([0, 1, 2], 3) # cat, dog, no label
    assert [w.get("ears") for w in pipe.told(pipe.tell(mixed, [{"ears": "flat"}, {"ears": "none"}, None]))] == ["flat", None, None]
    assert pipe.tell(mixed)[2].tolist()[1:] == [-1] * (pipe.tell(mixed).shape[1] - 1)
    assert torch.equal(pipe.tell(mixed, False), mixed) and pipe.tell(None) is None
    for y, wanted, says in ((0, {"wings": "two"}, "cat has no part 'wings'; its parts are ears, tail"), (0, {"ears": "red"}, "ears of cat cannot be 'red'; choose of flat, up, or none"), (0, {"tail": "none"}, "choose of long$"),
                            (2, {"ears": "up"}, "the null label is none"), (0, [{}, {}, {}], "3 sets of attributes for 2 images"),
                            (0, True, "a list of such"), (0, "ears=up", "a list of such"), (0, {"ears": ["up"]}, "cannot be")):
        with pytest.raises(DitEduError, match=says): pipe.tell(pipe.labels(y, 2), wanted)
    with pytest.raises(DitEduError, match="belong to a class"): pipe.tell(None, {"ears": "up"})
    both = pipe.tell(pipe.labels(0, 2), [{"ears": "up"}]) # one for all
    assert [w["ears"] for w in pipe.told(both)] == ["up"] * 2 and pipe.labels(both, 2) is both and pipe.tell(both) is both
    with pytest.raises(DitEduError, match="say already which"): pipe.tell(both, {"ears": "up"})
    plain = Pipeline(network(num_attributes=0), None, None, (4, 8, 8), ["cat", "dog"])
    assert torch.equal(plain.tell(mixed), mixed)
    with pytest.raises(DitEduError, match="trained without attributes"): plain.tell(mixed, {"ears": "up"})


# whole runs

AVATARS = {"dataset_params": {"name": "avatars", "im_size": 16, "num_images": 120, "classes": False}, "train_params.autoencoder_epochs": 1}

@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    "A run without attributes, and one that begins with its weights and is told of them (with a learning rate of almost nothing)."
    folder = tmp_path_factory.mktemp("attributes")
    mp = pytest.MonkeyPatch(); mp.chdir(folder); mp.setenv("DIT_EDU_CACHE", str(folder/"cache"))
    write_config("plain.yaml", **AVATARS, **{"train_params.dit_lr": 1e-2})
    cfg = load_config("plain.yaml")
    train_vae(cfg, progress=False), train_dit(cfg, progress=False)
    (folder/"told").mkdir()
    for f in folder.glob("run/vae_a*.safetensors"): (folder/"told"/f.name).write_bytes(f.read_bytes())
    write_config("told.yaml", **AVATARS, **{"dit_params.attributes": True, "train_params.task_name": "told", "train_params.dit_start_from": "run/dit_ckpt.safetensors", "train_params.dit_lr": 1e-9})
    train_dit(load_config("told.yaml"), progress=False)
    yield folder
    mp.undo()


def test_a_network_learns_attributes_later(runs):
    before, after = (load_weights(runs/f"{r}/dit_ckpt.safetensors") for r in ("run", "told"))
    key, n = "y_embedder.embedding_table.weight", after[1]["config"]["num_attributes"]
    assert n == len(attribute_words(after[1]["attributes"])) > 100 and after[0][key].shape[0] == 11 + n
    assert (after[0][key][:11] - before[0][key]).abs().max() < 1e-6 and after[0][key][11:].abs().max() < 1e-6 # as it was, and zeros that may now learn
    a, b = (load_run(load_config(runs/f"{c}.yaml"), "cpu") for c in ("plain", "told"))
    kw = dict(y="thumbs", steps=3, guidance_scale=2.)
    assert (a.sample(2, **kw) - b.sample(2, **kw)).abs().max() < 1e-4
    with torch.no_grad(): b.dit.y_embedder.embedding_table.weight[11:] += .5
    assert (a.sample(2, **kw) - b.sample(2, **kw)).abs().max() > 1e-3 # now they speak
    assert torch.allclose(a.sample(2, **kw), b.sample(2, **kw, attributes=False), atol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"train_params.save_latents": False}, {"dit_params.class_dropout_prob": 0.}])
def test_its_new_vectors_learn_and_a_stopped_training_goes_on(runs, changes, tmp_path):
    rows = lambda: load_weights("other/dit_ckpt.safetensors")[0]["y_embedder.embedding_table.weight"][-400:]
    (runs/"other").mkdir(exist_ok=True)
    for f in (runs/"other").glob("**/*.*"): f.unlink()
    for f in runs.glob("run/vae_a*.safetensors"): (runs/"other"/f.name).write_bytes(f.read_bytes())
    write_config("other.yaml", **{**AVATARS, "dit_params.attributes": True, "train_params.task_name": "other", "train_params.dit_lr": 1e-2, "train_params.dit_max_steps": 9, "train_params.dit_epochs": 1,
                                  **({} if "dit_params.class_dropout_prob" in changes else {"train_params.dit_start_from": "run/dit_ckpt.safetensors"}), **changes})
    train_dit(load_config("other.yaml"), progress=False)
    straight = rows()
    assert straight.abs().amax(1).gt(1e-3).float().mean() > .2
    for f in (runs/"other").glob("*dit*"): f.unlink()
    for f in (runs/"other/checkpoints").glob("*9*"): f.unlink() # as if it had been killed after step 6
    train_dit(load_config("other.yaml"), resume=True, progress=False)
    torch.testing.assert_close(rows(), straight)


def test_the_network_is_told_of_each_images_own(runs):
    heard = []
    class Ear(torch.nn.Module):
        num_classes, config = 2, dict(class_dropout_prob=.25)
        def __init__(self): super().__init__(); self.p = torch.nn.Parameter(torch.zeros(1))
        def forward(self, x, t, y, drop=None): heard.append((y, drop)); return x * self.p
    from accelerate import Accelerator
    from dit_edu.diffusion import Diffusion
    from dit_edu.schedules import make_schedule
    from dit_edu.training import Draws
    numbers = np.arange(200, dtype=np.int16).reshape(100, 2)
    ear = Ear()
    task = DiTTask(ear, Diffusion(make_schedule("flow", 10), "flow"), 1e-3, stats=(torch.zeros(4), torch.ones(4)), attributes=numbers)
    task.wrapped, task.accelerator = {"dit": ear}, Accelerator(cpu=True)
    index = torch.randperm(100).repeat(10)
    zeros = torch.zeros(1000, 4, 2, 2)
    task.micro_step(dict(mean=zeros, log_var=zeros, label=index % 2, index=index), Draws(0, 0, 0, 1000, 0, 1000), 0, lambda loss: None)
    y, drop = heard[0]
    hidden = (y[:, 1:] == -1).all(1)
    assert torch.equal(y[:, 0], index % 2) and torch.equal(y[~hidden, 1:], torch.from_numpy(numbers).long()[index[~hidden]])
    assert abs(hidden.float().mean() - .25) < .05 and abs((hidden & drop).float().mean() - .0625) < .03 # two coins


@pytest.mark.parametrize("changes, says", [
    ({"dit_params.conditional": False}, "needs dit_params.conditional"),
    ({"train_params.latent_flips": True}, "latent_flips and dit_params.attributes are both on"),
    ({"dataset_params": {"name": "folder", "im_path": "images", "im_size": 16, "classes": True}}, "nothing is known of these images"),
    ({"dataset_params": {"name": "avatars", "im_size": 16, "num_images": 20, "classes": False}, "train_params.dit_start_from": "told/dit_ckpt.safetensors"}, "other attributes"),
    ({"dit_params.attributes": False, "train_params.dit_start_from": "told/dit_ckpt.safetensors"}, "set dit_params.attributes=true"),
])
def test_what_cannot_be_is_said(runs, changes, says):
    draw_images(runs/"images", 20, classes=[*load_weights(runs/"told/dit_ckpt.safetensors")[1]["classes"]])
    write_config("bad.yaml", **{**AVATARS, "dit_params.attributes": True, "train_params.task_name": "bad", **changes})
    (runs/"bad").mkdir(exist_ok=True)
    for f in runs.glob("run/vae_a*.safetensors"): (runs/"bad"/f.name).write_bytes(f.read_bytes())
    with pytest.raises(DitEduError, match=says): train_dit(load_config("bad.yaml"), progress=False, rebuild_latents=True)
    assert not (runs/"bad/dit_ckpt.safetensors").exists()


def test_the_command_asks_for_parts(runs, run):
    told = load_weights(runs/"told/dit_ckpt.safetensors")[1]["attributes"]["thumbs"]["mouth"]
    state, meta = load_weights(runs/"told/dit_ckpt.safetensors")
    rows = torch.nn.init.normal_(state["y_embedder.embedding_table.weight"], generator=torch.Generator().manual_seed(0)) # attributes that speak
    save_weights(runs/"told/dit_ckpt.safetensors", {**state, "y_embedder.embedding_table.weight": rows}, meta)
    def sample(*pairs, rc=0): return run("sample", "-c", "told.yaml", "--class", "thumbs", *(a for pair in pairs for a in ("--attribute", pair)), "--out", "parts", cwd=runs, rc=rc)
    pictures = []
    for value in told: sample(f"mouth={value}"); pictures.append((runs/"parts/x0_0.png").read_bytes())
    assert len(set(pictures)) == len(told) > 1
    sample(" mouth = " + value); assert (runs/"parts/x0_0.png").read_bytes() == pictures[-1]
    for pairs, says in ((["mouth"], "part=value"), (["mouth=green"], "cannot be 'green'"), (["wings=two"], "has no part 'wings'"), ([f"mouth={value}"] * 2, "twice")):
        p = sample(*pairs, rc=2)
        assert says in p.stderr and "Traceback" not in p.stderr
    assert "--class thumbs" in run("sample", "-c", "told.yaml", "--attribute", f"mouth={value}", cwd=runs, rc=2).stderr
