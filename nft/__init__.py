"""Neural Functional Transformers (Zhou et al., NeurIPS 2023): equivariant attention to weights."""
