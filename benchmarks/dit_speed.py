"""Time a training step of our DiT against diffusers' DiTTransformer2DModel, and bf16 autocast against fp32.

Everything is timed in one run, taking turns, so that a busy machine slows all of them alike:

    OMP_NUM_THREADS=2 python benchmarks/dit_speed.py --repeats 5 --out dit_speed.json
"""
import argparse, json, platform, statistics, time

import torch
from diffusers import DiTTransformer2DModel
from dit_edu.dit import DiT


CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}


def step(model, opt, batch, call, bf16, clock):
    "Seconds of one training step: forward, backward, AdamW."
    x, t, y, target = batch
    start = clock()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16): out = call(model, x, t, y)
    loss = (out.float() - target).square().mean()
    loss.backward()
    opt.step()
    opt.zero_grad()
    if x.is_cuda: torch.cuda.synchronize()
    return clock() - start


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--batch', type=int, default=4)
    a.add_argument('--depth', type=int, default=12, help='12 is DiT-B; fewer blocks for a quick look')
    a.add_argument('--repeats', type=int, default=5, help='timed rounds; each round times every variant once')
    a.add_argument('--warmup', type=int, default=1)
    a.add_argument('--threads', type=int, default=2)
    a.add_argument('--device', default='cpu')
    a.add_argument('--clock', choices=CLOCKS, default='wall', help='cpu: seconds of all threads, for a machine that others use too')
    a.add_argument('--out', help='write the numbers here, as JSON')
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)

    # DiT-B/2 on 32×32×4 latents, 1000 classes, learned variance: the same layers and the same sizes in both.
    ours = DiT.from_preset('DiT-B/2', depth=a.depth).to(a.device)
    theirs = DiTTransformer2DModel(num_attention_heads=12, attention_head_dim=64, num_layers=a.depth, in_channels=4, out_channels=8,
                                   sample_size=32, patch_size=2, num_embeds_ada_norm=1000).to(a.device)
    batch = (torch.randn(a.batch, 4, 32, 32), torch.randint(1000, (a.batch,)), torch.randint(1000, (a.batch,)),
             torch.randn(a.batch, 8, 32, 32))
    batch = tuple(v.to(a.device) for v in batch)
    opts = [torch.optim.AdamW(m.parameters(), 1e-4, fused=True) for m in (ours, theirs)]
    call_ours = lambda m, x, t, y: m(x, t, y)
    call_theirs = lambda m, x, t, y: m(x, timestep=t, class_labels=y).sample
    runs = {'diffusers, fp32': (theirs, opts[1], batch, call_theirs, False),
            'dit_edu, fp32': (ours, opts[0], batch, call_ours, False),
            'dit_edu, bf16 autocast': (ours, opts[0], batch, call_ours, True)}

    times = {k: [] for k in runs}
    for i in range(a.warmup + a.repeats):
        order = list(runs) if i % 2 else list(runs)[::-1] # nobody always goes first
        for k in order:
            s = step(*runs[k], CLOCKS[a.clock])
            if i >= a.warmup: times[k].append(s)

    # Ratios are taken within a round, then their median: rounds under another load don't mix.
    ratio = lambda k, base: statistics.median(x / y for x, y in zip(times[k], times[base]))
    result = dict(batch=a.batch, depth=a.depth, repeats=a.repeats, threads=a.threads, device=a.device, clock=a.clock, machine=platform.processor() or platform.machine(),
                  torch=torch.__version__, seconds=times, median={k: statistics.median(v) for k, v in times.items()},
                  params={'diffusers': sum(p.numel() for p in theirs.parameters()), 'dit_edu': sum(p.numel() for p in ours.parameters())},
                  step_ours_over_diffusers=ratio('dit_edu, fp32', 'diffusers, fp32'),
                  speedup_bf16=1 / ratio('dit_edu, bf16 autocast', 'dit_edu, fp32'))
    print(f'DiT-B/2 with {a.depth} blocks, batch {a.batch}, 32×32×4, {a.threads} threads, {a.device}, torch {torch.__version__}, median of {a.repeats}, {a.clock} clock\n')
    print('| training step | seconds | fastest | slowest |\n|---|--:|--:|--:|')
    for k, v in times.items(): print(f'| {k} | {statistics.median(v):.3f} | {min(v):.3f} | {max(v):.3f} |')
    print('\n| ratio | measured | wanted |\n|---|--:|--:|')
    print(f"| fp32 step, dit_edu / diffusers | {result['step_ours_over_diffusers']:.3f} | ≤ 1.05 |")
    print(f"| dit_edu, fp32 / bf16 | {result['speedup_bf16']:.2f} | ≥ 1.7 |")
    if a.out:
        with open(a.out, 'w') as f: json.dump(result, f, indent=1)


if __name__ == '__main__': main()
