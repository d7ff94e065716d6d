"""The page in docs/, in Markdown, from a run's figures: nothing on it is typed by hand but its words."""

from __future__ import annotations

from typing import Final

from benchmarks.paper.figures import PUBLISHED, At, Figures, under

_LIMIT_MS: Final = 100  # "execution time under 100 ms at the 0.99 quantile", the paper's claim
_NAMES: Final = {"sentiment": "SentimentFunction", "similarity": "SimilarityFunction"}
_HEAD: Final = """\
# The paper's Figure 3 on our functions

"Cost-effective Deployment of BERT Models in a Serverless Environment" (arXiv 2103.10673) shows in its Figure 3 how long
a warm invocation of its distilled models takes on AWS Lambda by memory size, and reckons what a million of them costs.
Here are the same figure and the same sum for the two reference functions of this repository. `make paper` measures
again and writes this page, its charts and [its figures](paper/figures.json); nothing on it is typed by hand.
"""
_CAVEAT: Final = """\
## What it does not say

- The paper's durations are from AWS Lambda in 2021, ours from this machine under Lambda's CPU shares and periods: the
  shape over memory is comparable, absolute times are only as far as the cores are (see
  [calibrate](choose-memory.md)). No calibration was applied.
- The texts are not the paper's: its own were never published. Ours are our golden sets, in random order.
- The paper's figure was read off its pixels, exact to {exact_to}.
- The paper's models are 32-bit TinyBERT and MobileBERT (56 and 98 MB); ours are int8 and of four layers (14 and 15
  MB).
- Invocations from which other work on this machine took the CPU are left out of the quantiles, and counted.
"""


def as_markdown(figures: Figures) -> str:
    """The whole page."""
    machine = figures.machine
    where = (
        f"Measured {machine['at'][:10]} on {machine['cpus']} x {machine['cpu']}, {machine['kernel']}, Docker "
        f"{machine['engine']},\nload {figures.load[0]:g} before and {figures.load[1]:g} after."
    )
    parts = [_HEAD, where + "\n"]
    for task, rows in figures.tasks.items():
        parts += [_latency(task, rows)]
    parts += [_cost(figures), _CAVEAT.format(exact_to=PUBLISHED["exact_to"])]
    return "\n".join(parts)


def _latency(task: str, rows: tuple[At, ...]) -> str:
    paper = PUBLISHED["figure"][task]
    lines = [
        f"## {task.capitalize()}: latency\n",
        f"![{task}: latency by memory size, ours and the paper's](paper/{task}.svg)\n",
        "| memory MB | q50 ms | q95 ms | q99 ms | TinyBERT, paper | MobileBERT, paper | calls | disturbed, left out |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        theirs = (" / ".join(f"{each:g}" for each in sizes.get(str(row.memory_mb), [])) for sizes in paper.values())
        cells = [f"{row.memory_mb:,}", *(f"{value:.1f}" for value in (row.q50, row.q95, row.q99))]
        cells += [*(cell or "-" for cell in theirs), f"{row.calls:,}", f"{row.disturbed:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    least = under(rows, _LIMIT_MS)
    told = "at no size here" if least is None else f"from {least:,} MB on"
    lines.append(f"\n`{_NAMES[task]}` keeps the paper's claim, q99 under {_LIMIT_MS} ms, {told}.\n")
    return "\n".join(lines)


def _cost(figures: Figures) -> str:
    paper = PUBLISHED["cost"]
    lines = [
        "## Cost\n",
        "![US dollars a million invocations by memory size](paper/spending.svg)\n",
        (
            f"The paper: ${paper['per_million_usd']:.2f} a million predictions, and a server of about "
            f"${paper['server_month_usd']:g} a month is cheaper from some {paper['break_even_requests']:,} a month on. "
            f"Ours, at Lambda's prices of {figures.prices} and without the free tier:\n"
        ),
        (
            "| function | memory MB | billed ms, mean | Init ms | $ a million, warm | from here on a server of "
            f"${paper['server_month_usd']:g} is cheaper | the same for {_server(figures)}, cold starts paid |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for task, rows in figures.tasks.items():
        for row in rows:
            as_paper = paper["server_month_usd"] / row.per_million_usd * 1e6
            even = "never" if row.break_even is None else f"{row.break_even:,}"
            cells = [_NAMES[task], f"{row.memory_mb:,}", f"{row.billed_ms:.1f}", f"{row.init_ms:.0f}"]
            cells += [f"{row.per_million_usd:.3f}", f"{as_paper:,.0f}", even]
            lines.append(f"| {' | '.join(cells)} |")
    every = [(row.per_million_usd, task, row) for task, rows in figures.tasks.items() for row in rows]
    for task in figures.tasks:
        usd, _, row = min((each for each in every if each[1] == task), key=lambda each: each[0])
        lines.append(
            f"\n`{_NAMES[task]}` is cheapest at {row.memory_mb:,} MB: ${usd:.2f} a million, "
            f"{paper['per_million_usd'] / usd:.1f} times less than the paper's sum."
        )
    return "\n".join([*lines, ""])


def _server(figures: Figures) -> str:
    return next(iter(figures.tasks.values()))[0].server
