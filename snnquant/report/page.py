"""One HTML page of a run that needs no other file and no network."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.report.sections import Metrics, Section, networks, percent, sections, summary

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: #fff;
  color: #1c2430; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { margin: .4rem 0; }
.quiet { color: #5a6472; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .35rem .8rem; text-align: right; border-bottom: 1px solid #e3e7ec;
  vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { font-weight: 600; border-bottom: 2px solid #1c2430; }
tbody th { font-weight: 400; }
.bar { min-width: 8rem; }
.bar span { display: block; height: .7rem; background: #2b6cb0; border-radius: 2px; }
img { max-width: 100%; min-width: min(100%, 24rem); image-rendering: pixelated; }
"""


def write_html(metrics: Metrics, class_map_png: Path | None, path: Path) -> None:
    """Write the page of a run: `metrics` is the content of metrics.json.

    The map is embedded; without one (None), and for networks and numbers that the metrics lack,
    the page has no such part. Raises InputError where the map cannot be read or the page written.
    """
    title = escape(f"{metrics['scene']['name']} as a quantized spiking network")
    parts = [f"<h1>{title}</h1>", f'<p class="quiet">{escape(summary(metrics))}</p>']
    parts += [_table(section) for section in sections(metrics)]
    parts.append(_classes(metrics))
    if class_map_png is not None:
        parts.append(_map(class_map_png))
    parts.append(f'<p class="quiet">Run: {escape(str(metrics["run"]))}</p>')
    body = "\n".join(parts)
    # The policy makes the page's promise hold: a browser fetches nothing for it.
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _table(section: Section) -> str:
    headings = "".join(f'<th scope="col">{escape(column)}</th>' for column in section.columns)
    rows = "\n".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(f"<td>{escape(value)}</td>" for value in values)
        + "</tr>"
        for label, *values in section.rows
    )
    notes = "\n".join(f'<p class="quiet">{escape(note)}</p>' for note in section.notes)
    head = f"<thead><tr><th></th>{headings}</tr></thead>" if any(section.columns) else ""
    table = f'<div class="scroll"><table>{head}<tbody>\n{rows}\n</tbody></table></div>'
    return f"<h2>{escape(section.title)}</h2>\n{table}\n{notes}"


def _classes(metrics: Metrics) -> str:
    """Accuracy of every class by every network, with a bar for the last network there is."""
    present = networks(metrics)
    by_network = [metrics[key]["class_accuracy"] for key in present]
    headings = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in present.values())
    rows = []
    for name, *accuracies in zip(metrics["scene"]["class_names"], *by_network, strict=True):
        cells = "".join(f"<td>{percent(accuracy)}</td>" for accuracy in accuracies)
        bar = f'<span style="width:{100 * (accuracies[-1] or 0):.1f}%"></span>'
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th>{cells}<td class="bar">{bar}</td></tr>'
        )
    body = "\n".join(rows)
    return f"""<h2>Accuracy of each class, %</h2>
<div class="scroll"><table><thead><tr><th></th>{headings}<th></th></tr></thead><tbody>
{body}
</tbody></table></div>
<p class="quiet">-: no test pixel of the class. The bars show the last network.</p>"""


def _map(file: Path) -> str:
    try:
        content = base64.b64encode(file.read_bytes()).decode("ascii")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
    picture = f'<img alt="Class of every pixel" src="data:image/png;base64,{content}">'
    return f"<h2>Classification map</h2>\n<p>{picture}</p>"
