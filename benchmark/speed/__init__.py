"""How fast the layers are, beside those published with the papers: `python -m benchmark speed`."""
