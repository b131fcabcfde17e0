"""docs/states.md, drawn from what states.py declares."""

from include.registry.states import MACHINES


def page() -> str:
    """docs/states.md: a Mermaid diagram and the sentences of every machine."""
    parts = [
        "# States\n",
        "Drawn from `include/registry/states.py` by `python -m include.registry states > docs/states.md`;",
        "do not edit by hand. The database refuses every transition that is not here.",
    ]
    for machine in MACHINES:
        parts += ["", f"## {machine.title}", "", "```mermaid", "stateDiagram-v2"]
        parts += [f"    [*] --> {state.name}" for state in machine.states if state.initial]
        parts += [f"    {t.source} --> {t.target}: {t.reason}" for t in machine.transitions]
        parts += [f"    {name} --> [*]" for name in machine.final()]
        parts += ["```", "", "| state | meaning |", "|---|---|"]
        parts += [f"| `{state.name}` | {state.sentence} |" for state in machine.states]
    return "\n".join(parts) + "\n"
