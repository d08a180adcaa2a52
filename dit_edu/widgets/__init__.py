"Views of the library's functions that a person can touch: one class for each, and `serve` to show one in a window of its own."
# Looked up when first used, as in dit_edu itself.
_where = {"Widget": "base", "Job": "base", "serve": "base", "record": "denoising", "DenoisingExplorer": "denoising", "SamplingDemo": "demo",
          "SamplerRace": "race", "ScheduleExplorer": "schedule", "PatchifyExplorer": "patchify",
          "AdaLNExplorer": "adaln", "AttentionExplorer": "attention", "LatentExplorer": "latent", "TrainingMonitor": "monitor"}
__all__ = list(_where)


def __getattr__(name):
    if name not in _where: raise AttributeError(f"module 'dit_edu.widgets' has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(f"{__name__}.{_where[name]}"), name)
