"""How a suite trains every method."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


class Protocol(BaseModel):
    """AdamW, linear warm-up, then half a cosine to zero, or the same rate throughout.

    evaluations: how often the validation split is scored, evenly spaced. The best of these
    checkpoints is kept, and a checkpoint for resuming is written each time.
    clip: the largest norm of a step's gradient.
    compiled: the steps go through `torch.compile` where that works.
    precision: of the matrix products. With "bfloat16", autocast on a GPU and float32 elsewhere, and
    the optimizer's moments are rounded to it at every checkpoint, which halves its size.
    schedule: of the learning rate after the warm-up.
    amsgrad: steps are divided by the largest second moments so far, not by the present ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    evaluations: int = Field(gt=0)
    clip: float = Field(gt=0)
    compiled: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    schedule: Literal["cosine", "constant"] = "cosine"
    amsgrad: bool = False

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what a record that was made before there was a choice does not name."""
        content = handler(self)
        later = {"schedule": "cosine", "amsgrad": False}
        return {key: value for key, value in content.items() if later.get(key) != value}
