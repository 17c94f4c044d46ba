"""A figure that a notebook shows, whatever backend Matplotlib has."""

import io

from matplotlib.figure import Figure as MatplotlibFigure


class Figure(MatplotlibFigure):
    """A figure without a window. A notebook shows it if it is the last value of a cell."""

    def png(self, dpi: int) -> bytes:
        """Draw the figure as a PNG."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=dpi, bbox_inches="tight")
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png(dpi=80)
