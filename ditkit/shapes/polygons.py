"""Meshes of polygons, and triangles that cover them.

Cut here, since open3d leaves out the polygons that it cannot cut, as those of a scan that lie in no plane.
Shapes: V vertices, Q polygons of four corners, F triangles.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ditkit.errors import DataError


class Polygons(NamedTuple):
    """`vertices` (V, 3) float64, and the places of each polygon's corners among them; without polygons it is a cloud."""

    vertices: np.ndarray
    polygons: Sequence[Sequence[int]]


def whole(path: Path, vertices: Sequence[Sequence[float]] | np.ndarray, polygons: Sequence[Sequence[int]]) -> Polygons:
    """The mesh that a file holds; raises `DataError` for polygons of vertices that are not there."""
    beyond = next((corner for corners in polygons for corner in corners if not 0 <= corner < len(vertices)), None)
    if beyond is not None:
        raise DataError(f"{path} is damaged: a face has the vertex {beyond}, and there are {len(vertices)} (counted from 0)")
    if not isinstance(vertices, np.ndarray) and any(len(place) != 3 for place in vertices):
        raise DataError(f"{path} is damaged: a vertex has fewer than 3 coordinates")
    return Polygons(np.asarray(vertices, dtype=np.float64).reshape(-1, 3), polygons)


def triangulated(mesh: Polygons) -> np.ndarray:
    """The triangles (F, 3) of the same surface, two fewer for each polygon than it has corners; lines, which have no surface, are left out.

    Ears are cut off (Meisters 1975), as seen along the polygon's normal (Newell's): nothing beside a polygon is covered that lies in a
    plane. Of a twisted one, which has no ears, the corner goes that sticks out most.
    """
    vertices, polygons = mesh
    threes = [corners for corners in polygons if len(corners) == 3]
    fours = [corners for corners in polygons if len(corners) == 4]
    others = [triangle for corners in polygons if len(corners) > 4 for triangle in _ears(vertices[list(corners)], corners)]
    halves = _halves(vertices, np.array(fours, dtype=np.int64).reshape(-1, 4))
    return np.concatenate([np.array(part, dtype=np.int64).reshape(-1, 3) for part in (threes, halves, others)])


def _halves(vertices_V3: np.ndarray, corners_Q4: np.ndarray) -> np.ndarray:
    """Along the diagonal that lies inside: from the first corner, unless the polygon is bent inwards at the second or the last."""
    places_Q43 = vertices_V3[corners_Q4]
    normals_Q3 = np.cross(places_Q43[:, 2] - places_Q43[:, 0], places_Q43[:, 3] - places_Q43[:, 1])
    sides_Q43 = np.roll(places_Q43, -1, axis=1) - places_Q43
    turns_Q4 = (np.cross(np.roll(sides_Q43, 1, axis=1), sides_Q43) * normals_Q3[:, None]).sum(axis=2)
    inwards_Q = (turns_Q4[:, 1] < 0) | (turns_Q4[:, 3] < 0)
    turned_Q4 = np.where(inwards_Q[:, None], np.roll(corners_Q4, -1, axis=1), corners_Q4)
    return np.concatenate([turned_Q4[:, :3], turned_Q4[:, [0, 2, 3]]])


def _ears(places: np.ndarray, corners: Sequence[int]) -> list[tuple[int, int, int]]:
    """The triangles of one polygon whose corners lie at these places."""
    flat, ring, found = _in_plane(places), list(range(len(corners))), []
    while len(ring) > 3:
        turns = _turn(np.roll(flat[ring], 1, axis=0), flat[ring], np.roll(flat[ring], -1, axis=0))
        ear = next((at for at in range(len(ring)) if _is_ear(flat[ring], turns, at)), int(turns.argmax()))
        found.append((ring[ear - 1], ring[ear], ring[(ear + 1) % len(ring)]))
        del ring[ear]
    return [(corners[a], corners[b], corners[c]) for a, b, c in (*found, ring)]


def _in_plane(places: np.ndarray) -> np.ndarray:
    """As seen along the normal, around which the corners then turn to the left."""
    centred = places - places[0]
    normal = np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0)
    first = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    second = np.cross(normal, first)
    return centred @ np.stack([axis / (np.linalg.norm(axis) or 1) for axis in (first, second)], axis=1)


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Twice the area of the triangles a b c in the plane, positive where they turn to the left."""
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])


def _is_ear(ring: np.ndarray, turns: np.ndarray, at: int) -> bool:
    """Whether the corner sticks out, and no corner that is bent inwards lies in what would be cut off with it."""
    if turns[at] <= 0:
        return turns[at] == 0
    a, b, c = triangle = ring[[at - 1, at, (at + 1) % len(ring)]]
    bent = ring[turns < 0]
    inside = (_turn(a, b, bent) >= 0) & (_turn(b, c, bent) >= 0) & (_turn(c, a, bent) >= 0)
    touches = (bent[:, None] == triangle).all(axis=2).any(axis=1)
    return not (inside & ~touches).any()
