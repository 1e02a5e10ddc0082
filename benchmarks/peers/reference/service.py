"""The reference pipeline as a service, as such services are written: all of it in the handler."""

from fastapi import FastAPI, UploadFile
from pipeline import analyze

app = FastAPI()


@app.post("/emotion")
async def emotion(image: UploadFile) -> list[dict[str, object]]:
    return analyze(await image.read())
