"""Makes top.svg of what `monoceros top` has drawn on a terminal of 110x16.

    tmux new-session -d -s top -x 110 -y 16 "monoceros top PID"
    tmux capture-pane -e -p -t top | python3 docs/images/top.py >docs/images/top.svg
"""

import re
import sys
from html import escape

WIDTH, HEIGHT, LEFT, TOP = 8.4, 18, 12, 26
COLOUR, GROUND = "#dcdfe4", "#1e2127"
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"
# Select Graphic Rendition (ECMA-48): the only sequences in a capture of tmux.
RENDITION = re.compile(r"\x1b\[([\d;]*)m")


def pieces(line):
    """The texts of a line, each with its column and the renditions that are on."""
    column, on, parts = 0, set(), RENDITION.split(line)
    for text, codes in zip(parts[::2], [None, *parts[1::2]], strict=True):
        for code in [] if codes is None else map(int, (codes or "0").split(";")):
            on = on | {code} if code else set()
        if text:
            yield column, text, on
        column += len(text)


def drawn(row, column, text, on):
    """A text, on a bar where it is in reverse video."""
    x, y, length = LEFT + column * WIDTH, TOP + row * HEIGHT, len(text) * WIDTH
    if 7 in on:
        yield f'<rect x="{x:.1f}" y="{y - 14}" width="{length:.1f}" height="{HEIGHT}" fill="{COLOUR}"/>'
    weight = ' font-weight="bold"' if 1 in on else ""
    fill = GROUND if 7 in on else COLOUR
    # Viewers join blanks, but not those that do not break.
    shown = escape(text).replace(" ", "\u00a0")
    yield f'<text x="{x:.1f}" y="{y}" fill="{fill}"{weight} textLength="{length:.1f}">{shown}</text>'


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    columns = max(len(RENDITION.sub("", line)) for line in lines)
    width, height = round(2 * LEFT + columns * WIDTH), TOP + len(lines) * HEIGHT
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
          f'role="img" aria-label="monoceros top">')
    print(f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>\n<g font-family="{FONT}" font-size="14">')
    for row, line in enumerate(lines):
        for column, text, on in pieces(line):
            print(*drawn(row, column, text, on), sep="\n")
    print("</g>\n</svg>")


if __name__ == "__main__":
    main()
