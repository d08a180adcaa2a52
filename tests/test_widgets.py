"What widgets hold and say, without a browser (tests/browser looks at them in one)."
import json, socket, struct, time
from types import SimpleNamespace
import pytest, torch
from dit_edu.core import DitEduError
from dit_edu.pipeline import Pipeline, load_pretrained
from dit_edu.widgets import AdaLNExplorer, DenoisingExplorer, SamplingDemo, serve
from dit_edu.widgets.denoising import Run, pack_runs, record
from dit_edu.widgets.monitor import LogTail


@pytest.fixture(scope="module")
def pipe(finished): return load_pretrained(finished/"run", device="cpu") # classes green and red, 12 timesteps


def test_pages_that_hang_up_early_leave_nothing(pipe):
    widget = DenoisingExplorer(record(pipe))
    server = serve(widget, block=False, show=False)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.server_port)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) # closing resets the connection
            s.sendall(f"GET /events?client=x HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n".encode())
    end = time.monotonic() + 30
    time.sleep(.5)
    while (widget.views or widget.listeners) and time.monotonic() < end: time.sleep(.1)
    server.ended = True; server.shutdown()
    assert widget.views == 0 and not widget.listeners


def test_runs_of_unlike_timesteps_do_not_share_a_slider(pipe):
    one, other = record(pipe, steps=4), record(pipe, steps=4, spacing="trailing")
    assert DenoisingExplorer(one).timesteps == 12
    with pytest.raises(DitEduError, match="other timesteps"): pack_runs([one, other])
    with pytest.raises(DitEduError, match="other timesteps"): pack_runs([one, Run(**{**vars(one), "alpha": [a / 2 for a in one.alpha]})])
    with pytest.raises(DitEduError, match="same number of steps"): pack_runs([one, record(pipe, steps=5)])


def test_each_model_of_a_demo_has_its_own_classes_and_timesteps(pipe):
    shipped = load_pretrained(device="cpu")
    demo = SamplingDemo({"small": pipe, "shipped": shipped}, start=False, n=2, model="shipped")
    assert demo.models["small"]["classes"] == ["green", "red"] and demo.models["small"]["timesteps"] == 12
    assert demo.models["shipped"]["classes"] == shipped.classes and demo.models["shipped"]["timesteps"] == 1000
    assert demo.settings == {"model": "shipped", "seed": 0, "n": 2, **demo.models["shipped"]["begin"]}
    assert demo.models["small"]["begin"]["high"] == 11 and demo.models["small"]["begin"]["steps"] == 6
    with pytest.raises(DitEduError, match="no model 'big'"): SamplingDemo({"small": pipe}, model="big")


def test_a_demo_of_a_network_without_blocks_has_no_skip_guidance(pipe):
    from dit_edu.diffusion import IdealDenoiser
    from dit_edu.widgets.demo import steps_arguments
    ideal = Pipeline(IdealDenoiser(torch.randn(4, 3, 8, 8), pipe.diffusion.schedule), None, pipe.diffusion, (3, 8, 8))
    demo = SamplingDemo(ideal, start=False, n=1, steps=2)
    assert demo.models["model"]["weaker"] == "" and "skip_blocks" not in steps_arguments(ideal, {**demo.settings, "skip": 2})
    shipped = load_pretrained(device="cpu")
    assert "without block 2" in (facts := SamplingDemo(shipped, start=False).models["shipped"])["weaker"] and facts["begin"]["skip"] == 1
    shipped.defaults |= dict(skip_blocks=(3, 4), skip_scale=1.5)
    assert "without blocks 3, 4" in (facts := SamplingDemo(shipped, start=False).models["shipped"])["weaker"] and facts["begin"]["skip"] == 1.5


def test_adaln_says_what_is_true_of_the_picture_shown():
    widget = AdaLNExplorer(load_pretrained(device="cpu"), n=1, steps=3)
    shut, half = [[0., 1.]] * 8, [[.5, 1.]] * 8
    for _ in (work := widget.work(shut)): pass
    said, picture = widget.note, widget.after
    assert said.startswith("8 gates turned")
    work = widget.work(half); next(work); next(work)
    assert widget.note == "sampling: step 2 of 3"
    work.close() # the page was closed, or a newer setting came
    assert widget.note == said and widget.after == picture
    with pytest.raises(DitEduError): next(widget.work([[float("nan"), 1.]] * 8))
    assert widget.note == said


def test_a_log_begun_anew_is_news(tmp_path):
    path = tmp_path/"dit_log.jsonl"; path.write_text('{"step": 40, "loss": 1.0}\n')
    tail = LogTail(path)
    assert tail.read() and tail.last["step"] == 40 and not tail.read()
    path.write_text("")
    assert tail.read() and tail.last is None and not tail.read()
