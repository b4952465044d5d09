"""Site -> files: pure rendering of everything that the processes of a site read."""

from orthweb.render.files import render
from orthweb.render.place import Place, Rendered, Secrets

__all__ = ["Place", "Rendered", "Secrets", "render"]
