"""Make small Keras models of the baseline's architecture and record their outputs, for the tests.

    python -m venv .venv-keras && .venv-keras/bin/pip install keras tensorflow-cpu
    .venv-keras/bin/python tools/record_keras_models.py

Their weights are random; only the arithmetic matters. One is a chain of layers in one Functional
model, the other a Sequential around a Functional base, with BatchNorm and Flatten.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

TARGET = Path(__file__).parents[1] / "tests" / "train" / "keras"
WIDTHS = (4, 4, 6, 6, 8)


def base(blocks: int) -> keras.Model:
    """Return the first blocks of VGG19 with few channels."""
    given = keras.Input((48, 48, 3))
    x = given
    for block, width in enumerate(WIDTHS[:blocks], 1):
        for convolution in range(1, 3):
            name = f"block{block}_conv{convolution}"
            x = layers.Conv2D(width, 3, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    return keras.Model(given, x, name="vgg19")


def chain() -> keras.Model:
    start = base(5)
    x = layers.GlobalAveragePooling2D()(start.output)
    x = layers.Dropout(0.3)(x)
    return keras.Model(start.input, layers.Dense(7, activation="softmax")(x))


def nested() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((48, 48, 3)),
            layers.Conv2D(3, 5, strides=1, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            base(4),
            layers.Flatten(),
            layers.Dense(9, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(7, activation="softmax"),
        ]
    )


def main() -> None:
    keras.utils.set_random_seed(1)
    TARGET.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (3, 48, 48), dtype=np.uint8)
    outputs = {"crops": crops}
    for name, model in (("chain", chain()), ("nested", nested())):
        for weight in model.weights:
            if weight.name in {"moving_mean", "moving_variance", "gamma", "beta"}:
                weight.assign(random.uniform(0.5, 1.5, weight.shape))
        # Random weights give nearly equal probabilities: spread them.
        kernel = model.layers[-1].weights[0]
        kernel.assign(kernel * 50)
        model.save(TARGET / f"{name}.keras")
        pixels = np.repeat(crops[..., None] / np.float32(255), 3, axis=3)
        outputs[name] = model.predict(pixels, verbose=0)
    np.savez_compressed(TARGET / "answers.npz", **outputs)


if __name__ == "__main__":
    main()
