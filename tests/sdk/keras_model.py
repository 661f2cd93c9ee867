"""Save and load a model of Keras: a test runs this as a program in an environment with Keras."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tallymark.artifacts import formats
from tallymark.errors import InvalidArgument


def save_and_load(value: Any, path: Path) -> Any:
    chosen = formats.format_for(value, None)
    assert chosen.name == "keras"
    chosen.write(value, path)
    return chosen.read(path, ())


def main() -> None:
    warnings.simplefilter("ignore", DeprecationWarning)  # those between Keras and numpy
    import keras
    import numpy

    measured = numpy.random.RandomState(0).rand(60, 4)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with TemporaryDirectory() as folder:
        back = save_and_load(model, Path(folder, "model.keras"))
        assert (back.predict(measured, verbose=0) == model.predict(measured, verbose=0)).all()
        with_code = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x)])
        with pytest.raises(InvalidArgument, match="Lambda layer"):
            save_and_load(with_code, Path(folder, "code.keras"))
    print("came back")


if __name__ == "__main__":
    main()
