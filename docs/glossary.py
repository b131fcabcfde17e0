"""The words of this project, each defined where the code has it: makes docs/glossary.md.

    python docs/glossary.py > docs/glossary.md

A word's definition is the first sentence of a docstring, and a state's is what include/registry/states.py says of it.
"""

import re
import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1]))

import include.agent
import include.catalogue
import include.compatibility
import include.inventory
import lab
import lab.visitors
from include import billing, registry
from include.agent import protocol
from include.agent.account import accounts
from include.agent.channel import pairing, peer
from include.agent.host import addresses, operations, scope
from include.agent.layouts.native import front
from include.agent.move import fence, forward, hold, redirect, shell, switch
from include.agent.stores.files import watch
from include.agent.stores.postgresql import door
from include.agent.trial import server
from include.billing import outbox
from include.catalogue import infrastructures
from include.inventory import document
from include.machines import Machines
from include.moves import network, proof
from include.panel import webhooks
from include.registry import approvals, reminders, states, take_back, transits
from include.registry.accounts import next_epoch
from include.testing import names as test_names

WORDS = {
    "account": accounts.Account,
    "agent": include.agent,
    "approval": approvals,
    "campaign": registry.Campaign,
    "catalogue": include.catalogue,
    "catalogue entry": include.catalogue.Entry,
    "check": include.catalogue.Check,
    "commit": fence.commit,
    "compatibility report": include.compatibility,
    "copy": switch.copy,
    "door": door,
    "drain": addresses.drain,
    "epoch": next_epoch,
    "event": registry.Event,
    "fence": fence,
    "forward": forward.forward,
    "front": front,
    "gate": registry.untested,
    "hold": hold.Hold,
    "incompatibility": include.catalogue.Incompatibility,
    "infrastructure": infrastructures.Infrastructure,
    "inventory": include.inventory,
    "IP": registry.Ip,
    "kept disk": Machines.keep,
    "lab": lab,
    "leading": redirect,
    "lease": registry.Lease,
    "ledger entry": billing.Entry,
    "machines": Machines,
    "migration": registry.Migration,
    "move": registry.Move,
    "operation": operations,
    "outbox": outbox,
    "pairing": pairing,
    "part": accounts.Account.part_of,
    "peer": peer.Peer,
    "plan": registry.Plan,
    "proof": proof,
    "release": forward.release,
    "reminder": reminders,
    "reroute": network.reroute,
    "return": hold.return_,
    "scope": scope.Scope,
    "server": registry.Server,
    "site": document.Site,
    "shell": shell,
    "state file": accounts.State,
    "switch": switch.switch,
    "take back": take_back,
    "test": registry.Test,
    "test name": test_names,
    "test server": server,
    "transit": transits,
    "transit request": registry.TransitRequest,
    "unclaimed": registry.Unclaimed,
    "verb": protocol,
    "visitors": lab.visitors,
    "watcher": watch,
    "webhook": webhooks,
}

_SENTENCE = re.compile(r".+?[.](?=\s|\Z)", re.DOTALL)


def definition(word: str, of: object) -> str:
    """The first sentence of what says it, without the word itself at its beginning."""
    text = _SENTENCE.match(of.__doc__ or "")
    if text is None:
        raise SystemExit(f"{place(of)} has no sentence that defines {word!r}: write one.")
    sentence = re.sub(rf"\A(The |An? )?{word}s?( of [\w ]+)?: ", "", " ".join(text[0].split()), flags=re.IGNORECASE)
    return sentence[0].upper() + sentence[1:]


def place(of: object) -> str:
    """The file that defines it."""
    name = of.__name__ if isinstance(of, ModuleType) else of.__module__
    return str(Path(sys.modules[name].__file__ or "").relative_to(Path(__file__).parents[1]))


def page() -> str:
    """docs/glossary.md."""
    parts = [
        "# Glossary\n",
        "Collected from the code by `python docs/glossary.py > docs/glossary.md`; do not edit by hand.",
        "A word is changed where it is defined: in the first sentence of a docstring of the file named.\n",
        "| word | meaning | defined in |\n|---|---|---|",
    ]
    parts += [
        f"| {word} | {definition(word, of)} | `{place(of)}` |"
        for word, of in sorted(WORDS.items(), key=lambda pair: pair[0].lower())
    ]
    parts += ["\n## States\n", "What leads from one to the next is drawn in [states.md](states.md).\n"]
    parts += ["| state | of | meaning |\n|---|---|---|"]
    every = [(state.name, machine.title, state.sentence) for machine in states.MACHINES for state in machine.states]
    parts += [f"| `{name}` | {title[0].lower()}{title[1:]} | {sentence} |" for name, title, sentence in sorted(every)]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
