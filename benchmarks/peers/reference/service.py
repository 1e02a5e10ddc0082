"""The baseline as a service in its usual form: all work in the request handler."""

from fastapi import FastAPI, UploadFile
from pipeline import analyze

app = FastAPI()


@app.post("/emotion")
async def emotion(image: UploadFile) -> list[dict[str, object]]:
    return analyze(await image.read())
