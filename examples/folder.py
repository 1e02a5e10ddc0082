"""Make a table of the faces in a folder of photos, and copies with boxes."""

from pathlib import Path

import pandas as pd

import mien

results = mien.Recognizer().analyze_many(sorted(Path("photos").glob("*.jpg")))
faces = pd.DataFrame([row for result in results for row in result.to_rows()])
faces.to_csv("faces.csv", index=False)
print(faces[["path", "emotion", "confidence"]])

copies = Path("copies")  # not among the photos, where they would be analyzed next time
copies.mkdir(exist_ok=True)
for result in results:
    if not result.error:  # a file that is not an image does not stop the others
        result.annotate().save(copies / f"{Path(result.path).stem}.png")
