"""report_picture.py REPORT.html OUT.svg [COLUMNS]: the first curves of a report as one picture, for a README."""
import re
import sys

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b5529a", "#c08a00", "#3fa0d8", "#5d3a9b", "#7a5c2e")
STYLE = """text{font:12px system-ui,sans-serif;fill:#5b6470}text.name{font-size:14px;fill:#1b1f24}
.grid{stroke:#eceef1}.axis{stroke:#5b6470}.full{stroke:#1b1f24;stroke-width:1.3;stroke-dasharray:5 4}
.curve{fill:none;stroke:currentColor;stroke-width:1.7;stroke-linejoin:round}
.whisker{stroke:currentColor;opacity:.5}.mark{fill:currentColor;stroke:#fff}"""
WIDTH, HEIGHT, TITLE, GAP, LEGEND = 410, 285, 26, 24, 34


def plain(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def main(report, out, columns=2):
    page = open(report, encoding="utf-8").read()
    figures = re.findall(r"<figcaption>(.*?)</figcaption>\s*<svg class=\"chart\"[^>]*>(.*?)</svg>", page, re.S)
    legend = re.findall(r"<li>(.*?)</li>", re.search(r"<ul class=\"legend\">(.*?)</ul>", page, re.S)[1], re.S)
    figures = figures[:columns * 2]
    width = columns * (WIDTH + GAP)
    height = -(-len(figures) // columns) * (TITLE + HEIGHT + GAP) + LEGEND
    style = STYLE + "".join(f".s{i}{{color:{c}}}" for i, c in enumerate(COLOURS))
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><style>{style}</style>'
             f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for i, (caption, chart) in enumerate(figures):
        x, y = i % columns * (WIDTH + GAP) + GAP / 2, i // columns * (TITLE + HEIGHT + GAP)
        parts.append(f'<g transform="translate({x} {y})"><text class="name" x="48" y="18">{plain(caption)}</text>'
                     f'<g transform="translate(0 {TITLE})">{chart}</g></g>')
    for i, item in enumerate(legend):
        key = re.search(r"<svg class=\"key ?(.*?)\"[^>]*>(.*?)</svg>", item, re.S)
        x, y = GAP + i * (width - GAP) / len(legend), height - LEGEND + 8
        parts.append(f'<g transform="translate({x:.0f} {y})"><g class="{key[1]}">{key[2]}</g>'
                     f'<text x="33" y="10">{plain(item)}</text></g>')
    with open(out, "w", encoding="utf-8") as f:
        f.write("\n".join(parts) + "</svg>\n")


main(*sys.argv[1:3], *map(int, sys.argv[3:]))
