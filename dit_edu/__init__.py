"Understand, see and train a Diffusion Transformer."
__version__ = "0.1.0"

# Names are looked up when they are first used: importing torch takes seconds, and `dit_edu --help` needs none of it.
_where = {"DiT": "dit", "VAE": "vae", "load_pretrained": "pipeline", "Pipeline": "pipeline"}
__all__ = list(_where)


def __getattr__(name):
    if name not in _where: raise AttributeError(f"module 'dit_edu' has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(f"{__name__}.{_where[name]}"), name)
