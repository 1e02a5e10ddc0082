"""A FastAPI application that uses mien as a library.

uvicorn --app-dir examples fastapi_app:app
curl -F photo=@photo.jpg http://127.0.0.1:8000/mood
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, UploadFile

import mien


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.recognizer = mien.Recognizer()  # loads the models once, before the first request
    yield


app = FastAPI(lifespan=lifespan)


# Not async: FastAPI calls it in a thread, so the event loop is not blocked.
def analyzed(photo: UploadFile, request: Request) -> mien.ImageResult:
    recognizer: mien.Recognizer = request.app.state.recognizer
    try:
        return recognizer.analyze(photo.file.read())
    except mien.ImageError as error:
        raise HTTPException(400, {"code": error.code, "message": error.message}) from error


Result = Annotated[mien.ImageResult, Depends(analyzed)]


@app.post("/faces")
def faces(result: Result) -> list[dict[str, Any]]:
    """Return each face, as the service's POST /emotion does."""
    return result.face_records()


@app.post("/mood")
def mood(result: Result) -> dict[str, int]:
    """Count the faces of each emotion."""
    return Counter(face.emotion.value for face in result)
