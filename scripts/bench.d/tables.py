"""Tables of medians, and for every cell without a figure the reason."""

import statistics


def compare(medians, more, ours):
    """Ours against the best of the others, above 1 when ours is better, whichever way the figure points."""
    others = [value for name, value in medians.items() if name not in ours]
    if ours[0] not in medians or not others:
        return "-"
    best = max(others) if more else min(others)
    top, bottom = (medians[ours[0]], best) if more else (best, medians[ours[0]])
    return f"{top / bottom:.2f}" if bottom else "-"


def table(figures, names, texts, ours, markdown, marked=lambda figure, name: ""):
    """Prints one: a row for each figure, a column for each name. `marked` adds to a cell that is not what the others are."""
    names = [name for name in names if any(name in values for values in figures.values())]
    rows = []
    for figure, (text, more, digits) in texts.items():
        if figure not in figures:
            continue
        medians = {name: statistics.median(values) for name, values in figures[figure].items()}
        cells = [f"{medians[name]:,.{digits}f}{marked(figure, name)}" if name in medians else "-" for name in names]
        rows.append([text, *cells, compare(medians, more, ours)])
    if not rows:
        return
    head = ["median", *names, "ours / best"]
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    if markdown:
        print("| " + " | ".join(["", *head[1:]]) + " |\n|---|" + "---:|" * (len(head) - 1))
        for row in rows:
            # A row that belongs to the one above it says so.
            text = f"… {row[0].strip()}" if row[0].startswith(" ") else row[0]
            print("| " + " | ".join([text, *row[1:]]) + " |")
        return
    for row in [head, *rows]:
        print(f"{row[0]:<{widths[0]}} " + " ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:])))


class Absent:
    """Why there is no figure: one line a name and reason, with the tests it holds for."""

    def __init__(self):
        self.reasons = {}

    def add(self, name, test, why):
        """Once for each round in which it happened: said once."""
        tests = self.reasons.setdefault((name, why), [])
        if test not in tests:
            tests.append(test)

    def lines(self):
        """For a person."""
        for (name, why), tests in sorted(self.reasons.items()):
            yield f"{name}: {', '.join(tests)}: {why}"
