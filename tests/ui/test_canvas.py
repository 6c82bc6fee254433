"""The canvas shows what is drawn, and takes no label for more than text."""

from typing import Any

from ditkit.ui.canvas import aspect, canvas, row

BOX = {"id": 1, "label": "<b>fox</b> & <script>alert(1)</script>", "edges": [0.1, 0.2, 0.5, 0.9]}


def test_a_label_on_the_canvas_is_text_not_markup():
    layout: Any = canvas([BOX]).layout
    (shape,) = layout.shapes
    assert shape.label.text == "&lt;b&gt;fox&lt;/b&gt; &amp; &lt;script&gt;alert(1)&lt;/script&gt;"
    assert shape.name == "1" and (shape.x0, shape.y0, shape.x1, shape.y1) == (0.1, 0.2, 0.5, 0.9)


def test_a_row_says_what_the_canvas_shows():
    said = str(row([BOX], BOX))
    assert "0.1, 0.2, 0.5, 0.9" in said and "left, top, right, bottom of" in said


def test_the_canvas_has_the_shape_of_the_picture():
    assert [aspect(size) for size in ("96x128", "", None, "96x", "0x5")] == ["128 / 96", "1", "1", "1", "1"]
