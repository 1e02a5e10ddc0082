"""A web page to try mien: drop a photo and see its faces.

pip install gradio
python gradio_app.py
"""

from typing import TYPE_CHECKING

from PIL import Image

import mien

if TYPE_CHECKING:
    import gradio

recognizer = mien.Recognizer()


def analyze(photo: Image.Image | None) -> tuple[Image.Image | None, list[list[object]]]:
    """Return the photo with boxes, and a row for each face: its emotion and the confidence."""
    if photo is None:
        return None, []
    result = recognizer.analyze(photo)
    rows: list[list[object]] = [[f.emotion.value, round(f.confidence, 4)] for f in result]
    return result.annotate(photo), rows


def page() -> "gradio.Interface":
    import gradio  # noqa: PLC0415 - only the page needs it; analyze can be used without

    return gradio.Interface(
        analyze,
        inputs=gradio.Image(type="pil", label="Photo"),
        outputs=[
            gradio.Image(label="Faces"),
            gradio.Dataframe(headers=["emotion", "confidence"], label="Emotions"),
        ],
        title="Emotions in a photo",
        description="An expression is not an inner state: the label is what people would call "
        "this face, not what the person feels. Photos are analyzed in memory.",
        flagging_mode="never",
    )


if __name__ == "__main__":
    page().launch()
