"""Make a table of the faces in a folder of photos, and copies with boxes."""

from pathlib import Path

import pandas as pd

import mien

results = mien.Recognizer().analyze_many(sorted(Path("photos").glob("*.jpg")))
faces = pd.DataFrame([row for result in results for row in result.to_rows()])
faces.to_csv("faces.csv", index=False)
print(faces[["path", "emotion", "confidence"]])

for result in results:
    if not result.error:  # a file that is not an image does not stop the others
        result.annotate().save(Path(result.path).with_suffix(".faces.png"))
