"""Formulas as MathML, written by docutils while the site is built; every browser shows it without a script."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

REWRITTEN = {
    r"\\dots\b": r"\\ldots",
    r"\\texttt\b": r"\\mathtt",
    r"\\(?:textbf|textit)\b": r"\\text",
    r"\\tfrac\s*(\d)\s*(\d)": r"\\frac{\1}{\2}",
    r"\\[bB]ig(?![glr])": "",
    r"\\begin\{array\}\{\w+\}(.*?)\\end\{array\}": r"\\begin{matrix}\1\\end{matrix}",
}
"""Commands that docutils does not know, and what is written in their place."""

logger = logging.getLogger(__name__)


def mathml(node: nodes.math | nodes.math_block, as_block: bool) -> str:
    """MathML of a formula in LaTeX; what docutils cannot read is a warning, and shown as it was written."""
    text = node.astext()
    for command, known in REWRITTEN.items():
        text = re.sub(command, known, text, flags=re.DOTALL)
    if as_block and "\\\\" in text and "\\begin" not in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    try:
        return latex2mathml.tex2mathml(text, as_block=as_block)
    except MathError as error:
        logger.warning("formula %r: %s", text, error, location=node)
        return f"<code>{text}</code>"


def inline(self: Any, node: nodes.math) -> None:
    """Write a formula within a sentence."""
    self.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, which scrolls where it is wider than the page."""
    self.body.append(
        f'<div class="math notranslate" tabindex="0" role="group">{mathml(node, as_block=True)}</div>'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
