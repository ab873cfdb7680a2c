"""A decision as one HTML file: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape

from epochal.decisions.decision import Decision
from epochal.decisions.explain import (
    MARKS,
    Interval,
    asks,
    classes_of,
    facts,
    headline,
    interval_of,
    preregistered,
    provenance,
)
from epochal.decisions.gates.gate import Gate

__all__ = ["to_html"]

_STYLE = """
:root{--bg:#fbfbfa;--card:#fff;--ink:#1c2024;--soft:#60646c;--line:#e2e4e8;--pass:#1a7f4b;
--fail:#c0392b;--unknown:#a86b00;--none:#80858d}
@media (prefers-color-scheme:dark){:root{--bg:#131517;--card:#1b1e21;--ink:#e9ebee;--soft:#a3a8b0;
--line:#2e3238;--pass:#4cc38a;--fail:#ff7b6b;--unknown:#ffb74d;--none:#8a9099}}
*{box-sizing:border-box}body{margin:0 auto;max-width:56rem;padding:2rem 1.25rem;
background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
h1{font-size:1.05rem;font-weight:500;color:var(--soft);margin:0}
.verdict{font-size:2.1rem;font-weight:700;margin:.2rem 0 .4rem}
.card{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--none);
border-radius:8px;padding:1rem 1.2rem;margin:1rem 0}.card h2{font-size:1.05rem;margin:0 0 .3rem}
.pass{border-left-color:var(--pass)}.fail{border-left-color:var(--fail)}
.unknown{border-left-color:var(--unknown)}.ink-pass{color:var(--pass)}.ink-fail{color:var(--fail)}
.ink-unknown{color:var(--unknown)}.ink-none{color:var(--none)}p{margin:.3rem 0}
.soft,li,td,th,footer{color:var(--soft);font-size:.9rem}ul{margin:.4rem 0;padding-left:1.2rem}
table{border-collapse:collapse;width:100%;margin-top:.6rem}td,th{padding:.2rem .6rem .2rem 0;
text-align:right;border-bottom:1px solid var(--line)}td:first-child,th:first-child,td:last-child,
th:last-child{text-align:left}.scroll{overflow-x:auto}svg{width:100%;height:58px;display:block}
svg text{fill:var(--soft);font-size:11px}footer{margin-top:2rem;border-top:1px solid var(--line);
padding-top:.8rem;overflow-wrap:anywhere}
"""


def to_html(decision: Decision) -> str:
    """Return the decision as one self-contained page."""
    against = f" against {decision.baseline.name}" if decision.baseline else ", first version"
    title = f"{decision.project}: {decision.candidate.name}{against}"
    tone = _tone(decision)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(headline(decision))} – {escape(title)}</title>",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict ink-{tone}">{escape(headline(decision))}</p>',
        f"<p>{escape(decision.sentence)}</p>",
    ]
    if decision.change:
        parts.append(f'<p class="soft">{escape(decision.change)}</p>')
    if decision.override:
        parts.append(f"<p><strong>Override:</strong> {escape(decision.override)}</p>")
    parts += [_gate(gate, decision) for gate in decision.gates]
    if decision.next:
        parts += ['<section class="card"><h2>Next</h2>', _list(decision.next), "</section>"]
    parts += [
        '<section class="card"><h2>Before and after</h2>',
        _list(tuple(preregistered(decision))),
        "</section>",
        f"<footer>{escape(provenance(decision))}</footer></body></html>\n",
    ]
    return "\n".join(parts)


def _tone(decision: Decision) -> str:
    if decision.kind == "":
        return "pass"
    return "unknown" if decision.kind == "inconclusive" or decision.override else "fail"


def _gate(gate: Gate, decision: Decision) -> str:
    tone = "none" if gate.outcome == "not applicable" else gate.outcome
    parts = [
        (
            f'<section class="card {tone}"><h2><span class="ink-{tone}" aria-hidden="true">'
            f"{MARKS[gate.outcome]}</span> {gate.number} {escape(gate.name)}: {gate.outcome}</h2>"
        ),
        f"<p>{escape(gate.sentence)}</p>",
    ]
    if interval := interval_of(decision, gate):
        parts.append(_svg(interval))
    parts.append(f'<p class="soft"><em>{escape(asks(gate, decision))}</em></p>')
    parts.append(_list((*facts(gate, decision), *gate.details)))
    if checks := classes_of(gate):
        rows = "".join(
            f"<tr><td>{escape(c.name)}</td><td>{c.instances}</td><td>{c.images}</td>"
            + "".join(
                f"<td>{'–' if v is None else f'{v:.3f}'}</td>"
                for v in (c.baseline, c.candidate, c.floor)
            )
            + f"<td>{c.state}</td></tr>"
            for c in checks
        )
        parts.append(
            '<div class="scroll"><table><tr><th>class</th><th>objects</th><th>images</th>'
            "<th>baseline</th><th>candidate</th><th>floor</th><th></th></tr>"
            f"{rows}</table></div>"
        )
    parts.append("</section>")
    return "\n".join(part for part in parts if part)


def _list(lines: tuple[str, ...]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def _svg(interval: Interval) -> str:
    low = min(interval.low, 0.0)
    high = max(interval.high, interval.wanted, 0.0)
    span = (high - low) or 1.0
    low, high = low - 0.08 * span, high + 0.08 * span

    def x(value: float) -> str:
        return f"{(value - low) / (high - low) * 480:.1f}"

    words = (
        f"gain {interval.point:+.1f} {interval.unit}, between {interval.low:+.1f} and "
        f"{interval.high:+.1f}"
    )
    return (
        f'<svg viewBox="0 0 480 58" role="img" aria-label="{words}">'
        f'<line x1="0" x2="480" y1="26" y2="26" stroke="var(--line)"/>'
        f'<line x1="{x(0)}" x2="{x(0)}" y1="8" y2="42" stroke="var(--soft)"/>'
        f'<line x1="{x(interval.wanted)}" x2="{x(interval.wanted)}" y1="8" y2="42" '
        'stroke="var(--soft)" stroke-dasharray="3 3"/>'
        f'<line x1="{x(interval.low)}" x2="{x(interval.high)}" y1="26" y2="26" '
        'stroke="var(--ink)" stroke-width="3"/>'
        f'<circle cx="{x(interval.point)}" cy="26" r="5.5" fill="var(--ink)"/>'
        f'<text x="{x(0)}" y="55" text-anchor="middle">0</text>'
        f'<text x="{x(interval.point)}" y="15" text-anchor="middle">{interval.point:+.1f}</text>'
        f'<text x="{x(interval.low)}" y="42" text-anchor="middle">{interval.low:+.1f}</text>'
        f'<text x="{x(interval.high)}" y="42" text-anchor="middle">{interval.high:+.1f}</text>'
        "</svg>"
    )
