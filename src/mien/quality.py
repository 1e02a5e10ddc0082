"""Measures of the quality of a face: size, sharpness, light and pose."""

import math

import numpy as np
from PIL import Image

from mien.classify.crop import FER2013_TEMPLATE
from mien.classify.detail import laplacian
from mien.types import Face, Landmarks, Quality, RgbImage

__all__ = ["DEPTHS", "head_pose", "measure_quality"]

# Faces are compared at one size, so that sharpness does not depend on the resolution.
_SIDE_PX = 96
# Depth of the landmarks towards the camera, in the unit of FER2013_TEMPLATE. Source: the head model
# of https://learnopencv.com/head-pose-estimation-using-opencv-and-dlib/ (eyes 135 and mouth 125
# behind the nose, 450 between the outer corners of the eyes), at the distance of the template's
# eyes; the outer corners are 1.41 times as far apart as the pupils.
DEPTHS = (0.0, 0.0, 0.159, 0.012, 0.012)


def measure_quality(image: RgbImage, face: Face, scale: float = 1.0) -> Quality:
    """Measure a face.

    Args:
        image: Where the face lies.
        face: In pixels of the image.
        scale: Height of the stored image as a multiple of this one's, which may be reduced.
    """
    x, y, width, height = face.box.to_pixels(image.width, image.height)
    crop = image.picture.resize(
        (_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR, box=(x, y, x + width, y + height)
    )
    grey = np.asarray(crop.convert("L"), dtype=np.float32)
    yaw, pitch, roll = head_pose(face.landmarks) if face.landmarks else (None, None, None)
    return Quality(
        height=round(height * scale),
        # Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
        sharpness=float(laplacian(grey).var()),
        brightness=float(grey.mean()) / 255,
        contrast=float(grey.std()) / 255,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
    )


def head_pose(landmarks: Landmarks) -> tuple[float, float, float]:
    """Estimate yaw, pitch and roll in degrees; see ``Quality``.

    Fits a rigid head of average shape by scaled orthographic projection. Source: the first step of
    DeMenthon and Davis, Model-based object pose in 25 lines of code, IJCV 1995, with the nearest
    orthonormal rows by singular value decomposition.
    """
    head = np.column_stack([np.array(FER2013_TEMPLATE.points), DEPTHS])
    points = landmarks.to_array()
    # x to the right, y down, z towards the camera.
    projection = np.linalg.lstsq(head - head.mean(axis=0), points - points.mean(axis=0))[0].T
    left, _, right = np.linalg.svd(projection, full_matrices=False)
    across, down = left @ right
    toward = np.cross(across, down)
    # The rotation is roll * yaw * pitch, so roll is the angle of the line through the eyes.
    yaw = math.asin(float(np.clip(-toward[0], -1, 1)))
    pitch = math.atan2(float(toward[1]), abs(float(toward[2])))
    roll = math.atan2(float(down[0]), float(across[0]))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
