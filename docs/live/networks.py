"""The two networks of the live pages: small, so that a page loads at once, and known by name to eyespot."""

from eyespot import register

DIGITS = "live_digits"
CELLS = "live_cells"


def register_networks() -> None:
    """Make both known to `eyespot.train`, and to `eyespot.load` of their model files."""
    register(DIGITS, "eyespot.models.small:Small", widths=(12, 32, 32))
    register(CELLS, "eyespot.models.unet:UNet", width=8, levels=3)
