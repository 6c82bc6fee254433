"""A cloud or a surface as a figure that can be turned: y is up, as everywhere in ditkit."""

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ditkit.errors import DitkitError

POINTS = 4096  # of a cloud that are shown at most
SCALE = "Viridis"
EYE = {"x": 1.3, "y": 0.9, "z": 1.7}


def solid(path: Path) -> go.Figure:
    """The figure of a .ply, an .obj or any other cloud or mesh that ditkit reads; without axes, so that the shape is all there is."""
    from ditkit.shapes.clouds import read_points
    from ditkit.shapes.polygons import triangulated
    from ditkit.shapes.text_meshes import read_obj

    traces: list[Any] = []
    try:
        if path.suffix == ".obj":
            mesh = read_obj(path)
            traces.append(_surface(mesh.vertices, triangulated(mesh)))
        else:
            points = read_points(path, POINTS // 2)
            traces.append(_points(points[:: -(-len(points) // POINTS)]))
    except (DitkitError, OSError):  # removed or damaged since
        pass
    axis = {"visible": False}
    figure = go.Figure(traces)
    scene = {"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "data", "camera": {"up": {"x": 0, "y": 1, "z": 0}, "eye": EYE}}
    return figure.update_layout(
        scene=scene | {"dragmode": "orbit"}, margin={"l": 0, "r": 0, "t": 0, "b": 0}, paper_bgcolor="rgba(0,0,0,0)", showlegend=False
    )


def _points(points_P3: np.ndarray) -> Any:
    x, y, z = points_P3.T
    return go.Scatter3d(
        x=x, y=y, z=z, mode="markers", hoverinfo="skip", marker={"size": 1.8, "color": y, "colorscale": SCALE, "opacity": 1}
    )


def _surface(vertices_V3: np.ndarray, triangles_F3: np.ndarray) -> Any:
    (x, y, z), (i, j, k) = vertices_V3.T, triangles_F3.T
    return go.Mesh3d(
        x=x,
        y=y,
        z=z,
        i=i,
        j=j,
        k=k,
        intensity=y,
        colorscale=SCALE,
        showscale=False,
        hoverinfo="skip",
        flatshading=True,
        lighting={"ambient": 0.6, "diffuse": 0.7, "specular": 0.1},
    )
