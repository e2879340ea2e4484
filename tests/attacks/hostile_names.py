"""Names that try to be more than text: in pages, in terminals, in TensorBoard."""

import random

PIECES = [
    "<script>parent.broken=1</script>", "</script><script>parent.broken=1</script>", "<svg onload=parent.broken=1>",
    "<img src=x onerror=parent.broken=1>", "<!--", "-->", "]]>", "{{DATA}}", "{{SCRIPT}}", "{DATA}", "${1}", "`", "\"",
    "'", "\\", "\\u003c", "&lt;", "&#x3c;b&#x3e;", "<iframe src=http://127.0.0.1:9/>", "<base href=http://127.0.0.1:9/>",
    "<link rel=stylesheet href=http://127.0.0.1:9/>", "<style>@import'http://127.0.0.1:9/'</style>", "%s%n",
    "javascript:parent.broken=1", "\x1b]0;title\x07", "\x1b[2J", "\x1b[31m", "\x9b31m", "\r", "\n", "\x08", "\x7f",
    "\x00", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\udcff", "\ud800", "\U0001f431", "e\u0301",
    "\u05d0\u05d1", "a" * 300, "$(touch broken)",
]  # fmt: skip


def hostile_name(chance: random.Random) -> str:
    """Returns a name of one to three pieces, with plain letters between them."""
    return "cat" + "-".join(chance.choice(PIECES) for _ in range(chance.randint(1, 3))) + ".png"


def first_names() -> list[str]:
    """Returns a name for each piece alone."""
    return [f"cat{piece}.png" for piece in PIECES]
