"""Validation samples: training samples that are set aside to steer training by.

    train --share--> learned from | validated      the test samples are touched by neither
"""

from typing import Any

from numpy.typing import NDArray

Split = tuple[NDArray[Any], NDArray[Any]]
"""Inputs and targets."""


def set_aside(train: Split, share: float, *, classes: bool, seed: int) -> tuple[Split, Split]:
    """The training samples without, and with nothing but, the share that validates.

    Classes keep their shares in both. Raises ValueError unless 0 < share < 1, and where there are
    too few samples.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < share < 1:
        raise ValueError(f"validation must be above 0 and below 1, not {share}")
    inputs, targets = train
    try:
        learned_x, validated_x, learned_y, validated_y = train_test_split(
            inputs,
            targets,
            test_size=share,
            random_state=seed,
            stratify=targets if classes else None,
        )
    except ValueError as error:
        raise ValueError(
            f"{len(inputs)} training samples cannot be split for validation = {share}: {error}"
        ) from None
    return (learned_x, learned_y), (validated_x, validated_y)
