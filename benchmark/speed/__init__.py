"""The speed of the layers, beside those published with the papers: `python -m benchmark speed`."""
