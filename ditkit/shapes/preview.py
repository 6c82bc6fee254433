"""Pictures of clouds and meshes, drawn without a display by casting rays.

+y is up and a shape's front looks along +z. Shapes: P points, F triangles of a mesh or of one sphere, S side of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from ditkit.shapes.backend import open3d
from ditkit.shapes.meshes import Mesh

FRONT = 35.0  # degrees that the camera stands to the left of the front
ELEVATION = 20.0
FIELD_OF_VIEW = 30.0
DISTANCE = 1.12 / np.sin(np.radians(FIELD_OF_VIEW / 2))  # from which the unit ball nearly fills the picture
BALL = 0.022  # radius of a point in a cloud of 2,048 that fills the unit ball
LIGHT = (-0.45, 0.8, 0.55)  # where it comes from, as the camera sees it
AMBIENT, SHADE = 0.42, 0.55
COLOURS = np.array([(86, 80, 170), (52, 118, 176), (40, 160, 140), (120, 200, 90), (245, 215, 70)]) / 255.0  # from bottom to top
STRAY = 0.01  # share of a cloud's points that need not be in the picture
FRAMES = 24


@dataclass(frozen=True)
class Scene:
    """Something to look at from any side: triangles, and for spheres the middle of the one that each belongs to."""

    vertices: np.ndarray
    triangles: np.ndarray
    middles: np.ndarray | None = None

    @cached_property
    def rays(self) -> Any:
        scene = open3d().t.geometry.RaycastingScene()
        scene.add_triangles(self.vertices.astype(np.float32), self.triangles.astype(np.uint32))
        return scene

    def picture(self, side: int, turn: float = 0.0) -> Image.Image:
        """A square picture with the camera turned by so many degrees around the vertical; smoothed by drawing it twice as large."""
        large = self._shaded(2 * side, turn)
        return Image.fromarray((large * 255 + 0.5).astype(np.uint8)).resize((side, side), Image.Resampling.BOX)

    def _shaded(self, side: int, turn: float) -> np.ndarray:
        eye, axes = camera(turn)
        directions = _view(side) @ axes
        origins = np.broadcast_to(eye, directions.shape)
        hits = _cast(self.rays, origins, directions)
        seen = np.isfinite(hits["t_hit"])
        places = origins[seen] + hits["t_hit"][seen, None] * directions[seen]
        normals = self._normals(hits, seen, places, directions[seen])
        light = np.asarray(LIGHT) @ axes
        light /= np.linalg.norm(light)
        lit = np.clip(normals @ light, 0, None) * ~self._shadowed(places + 1e-3 * normals, light)
        picture = np.ones((side, side, 3))
        picture[seen] = np.clip(by_height(self._heights(places)) * (AMBIENT + SHADE * lit)[:, None] * 1.15, 0, 1)
        return picture

    def _normals(self, hits: dict[str, np.ndarray], seen: np.ndarray, places: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Away from a sphere's middle; of a mesh, whose triangles may be turned either way, towards the camera."""
        if self.middles is not None:
            normals = places - self.middles[hits["primitive_ids"][seen] // (len(self.triangles) // len(self.middles))]
        else:
            normals = hits["primitive_normals"][seen]
            normals = np.where(np.sum(normals * directions, axis=1, keepdims=True) > 0, -normals, normals)
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)

    def _shadowed(self, places: np.ndarray, light: np.ndarray) -> np.ndarray:
        rays = np.concatenate([places, np.broadcast_to(light, places.shape)], axis=1).astype(np.float32)
        return self.rays.test_occlusions(open3d().core.Tensor(rays)).numpy()

    def _heights(self, places: np.ndarray) -> np.ndarray:
        low, high = self.vertices[:, 1].min(), self.vertices[:, 1].max()
        return (places[:, 1] - low) / max(high - low, 1e-12)


def of_cloud(points_P3: np.ndarray) -> Scene:
    """A small ball at each point of the cloud, which is moved and scaled to fill the picture."""
    points = fitted(points_P3, points_P3)
    ball = open3d().geometry.TriangleMesh.create_icosahedron(BALL * (2048 / len(points)) ** 0.5)
    vertices, triangles = np.asarray(ball.vertices), np.asarray(ball.triangles)
    offsets = np.arange(len(points))[:, None, None] * len(vertices)
    return Scene((points[:, None] + vertices).reshape(-1, 3), (triangles + offsets).reshape(-1, 3), points)


def of_mesh(mesh: Mesh) -> Scene:
    """The mesh, moved and scaled to fill the picture."""
    return Scene(fitted(mesh.vertices, mesh.vertices), mesh.triangles)


def fitted(values_N3: np.ndarray, points_P3: np.ndarray) -> np.ndarray:
    """The values in coordinates in which the points lie in the unit ball, but for the one in a hundred that may have gone astray."""
    middle = np.quantile(points_P3, (STRAY / 2, 1 - STRAY / 2), axis=0).mean(axis=0)
    return (values_N3 - middle) / max(float(np.quantile(np.linalg.norm(points_P3 - middle, axis=1), 1 - STRAY)), 1e-12)


def turntable(scenes: Sequence[Scene], side: int, frames: int = FRAMES) -> list[Image.Image]:
    """The scenes side by side, near a square, seen from all around."""
    columns = int(np.ceil(np.sqrt(len(scenes))))
    rows = -(-len(scenes) // columns)
    sheets = []
    for frame in range(frames):
        sheet = Image.new("RGB", (columns * side, rows * side), "white")
        for place, scene in enumerate(scenes):
            sheet.paste(scene.picture(side, 360 * frame / frames), (place % columns * side, place // columns * side))
        sheets.append(sheet)
    return sheets


def by_height(heights_N: np.ndarray) -> np.ndarray:
    """Colours (N, 3) in [0, 1] for heights from 0 to 1."""
    stops = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(heights_N, stops, channel) for channel in COLOURS.T], axis=-1)


def camera(turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the camera stands, and its axes as rows: right, up, backwards."""
    around, above = np.radians(turn - FRONT), np.radians(ELEVATION)
    back = np.array([np.sin(around) * np.cos(above), np.sin(above), np.cos(around) * np.cos(above)])
    right = np.array([np.cos(around), 0.0, -np.sin(around)])
    return DISTANCE * back, np.stack([right, np.cross(back, right), back])


def _view(side: int) -> np.ndarray:
    """The direction of every pixel's ray (side, side, 3), as the camera sees it; of length 1."""
    across = (np.arange(side) + 0.5) / side * 2 - 1
    reach = np.tan(np.radians(FIELD_OF_VIEW / 2))
    x, y = np.meshgrid(across * reach, -across * reach)
    directions = np.stack([x, y, -np.ones_like(x)], axis=-1)
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def _cast(scene: Any, origins: np.ndarray, directions: np.ndarray) -> dict[str, np.ndarray]:
    rays = np.concatenate([origins, directions], axis=-1).astype(np.float32)
    return {name: value.numpy() for name, value in scene.cast_rays(open3d().core.Tensor(rays)).items()}
