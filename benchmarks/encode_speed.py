"How much faster is cache_latents than encoding one image at a time? Prints a markdown table. Both ways in one run, on one folder."
import argparse, platform, tempfile, time
from pathlib import Path

import torch
from dit_edu.core import default_device
from dit_edu.data import AvatarDataset, ImageFolder
from dit_edu.core import to_01, save_image
from dit_edu.latents import cache_latents
from dit_edu.vae import VAE


def one_at_a_time(vae, data, n, folder, device):
    "The seed system's way: a batch of one, kept in a dict, pickled at the end. Seconds per image."
    latents, start = {}, time.perf_counter()
    with torch.no_grad():
        for i in range(n):
            d = vae.encode(data[i]["image"][None].to(device))
            latents[data.keys[i]] = torch.cat([d.raw_mean, d.raw_log_var], 1).cpu()
    torch.save(latents, folder / "0.pkl")
    return (time.perf_counter() - start) / n


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--images", type=int, default=256, help="how many images")
    p.add_argument("--size", type=int, default=64, help="pixels")
    p.add_argument("--batch-size", type=int, help="default: what cache_latents chooses for this device")
    p.add_argument("--workers", type=int, default=0, help="processes that load images")
    p.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64], help="the VAE's widths; the default is a small one")
    p.add_argument("--rounds", type=int, default=3, help="each way is timed so often, in turn; the fastest counts")
    a = p.parse_args()
    device = default_device()
    torch.manual_seed(0)
    vae = VAE(channels=tuple(a.channels), norm_groups=8).eval().to(device)
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        drawn = AvatarDataset(a.images, a.size, root=tmp)
        for i in range(a.images): save_image(to_01(drawn[i]["image"]), tmp / "images" / f"{i:05d}.png")
        data, times = ImageFolder(tmp / "images", a.size), {"one": [], "cache": []}
        vae.encode(torch.zeros(2, 3, a.size, a.size, device=device))  # the first call pays for starting up
        for r in range(a.rounds):
            times["one"].append(one_at_a_time(vae, data, a.images, tmp, device))
            start = time.perf_counter()
            cache_latents(vae, data, tmp / f"z{r}", batch_size=a.batch_size, num_workers=a.workers, device=device, progress=False)
            times["cache"].append((time.perf_counter() - start) / a.images)
    one, cache = min(times["one"]), min(times["cache"])
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU, {torch.get_num_threads()} thread(s)"
    print(f"{a.images} images of {a.size} px from a folder, VAE widths {a.channels}, {name}, best of {a.rounds} rounds\n")
    print("| way | ms per image | images per second | ratio |\n|---|---|---|---|")
    print(f"| one at a time, pickled | {1e3 * one:.2f} | {1 / one:.0f} | 1.0 |")
    print(f"| cache_latents, batch {a.batch_size or 'as chosen'} (hashes, checks and statistics included) | {1e3 * cache:.2f} | {1 / cache:.0f} | {one / cache:.1f} |")


if __name__ == "__main__": main()
