"""wavemore: character-level language models whose context is fused step by step, as in WaveNet.

A list in, a trained model in seconds, new lines out:

>>> import wavemore as wm
>>> corpus = wm.load_corpus("names")
>>> plan = wm.plan(corpus, epochs=0.01, hidden=16)
>>> model = wm.build("tree", len(corpus.vocabulary), plan.model_config, seed=0)
>>> for record in wm.fit(model, corpus, plan.recipe):
...     pass
>>> samples = wm.generate(model, corpus.vocabulary, 3, wm.Sampling(seed=1), corpus.line_hashes)
>>> len(list(samples))
3

Names are imported when they are first used, so `import wavemore` takes no time and imports no torch.
"""

from wavemore.version import __version__ as __version__


def __getattr__(name: str) -> object:
    """Read the list of the public names, `__init__.pyi`, when the first of them is used."""
    import lazy_loader  # takes as long as the start of Python itself

    names = dict(zip(("__getattr__", "__dir__", "__all__"), lazy_loader.attach_stub(__name__, __file__), strict=True))
    globals().update(names)
    return names[name] if name in names else names["__getattr__"](name)


def __dir__() -> list[str]:
    return list(__getattr__("__dir__")())
