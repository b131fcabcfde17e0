"""What a transit costs: see docs/billing.md for the rules.

Functions take a psycopg connection to the registry first; each is one transaction (`deliver` excepted).
Refusals raise `include.registry.database.RegistryRefused` with a sentence.
"""

from include.billing.calendar import billed_through, date_of, day_or_none, last_ended_day
from include.billing.export import (
    Entry,
    entries,
    entries_of,
    export_ledger,
    exported_through,
    mark_exported,
    write_csv,
    write_json_lines,
)
from include.billing.forecasts import DryRun, Forecast, Line, forecast, would_bill
from include.billing.ledger import Billed, Settled, bill_days, correct_lease, require_prices, settle_late_facts
from include.billing.outbox import Delivered, Message, Receiver, deliver, hand_on
from include.billing.reminders import send_reminders
from include.billing.settings import apply_settings, ensure_settings

__all__ = [
    "Billed",
    "Delivered",
    "DryRun",
    "Entry",
    "Forecast",
    "Line",
    "Message",
    "Receiver",
    "Settled",
    "apply_settings",
    "bill_days",
    "billed_through",
    "correct_lease",
    "date_of",
    "day_or_none",
    "deliver",
    "entries",
    "ensure_settings",
    "entries_of",
    "export_ledger",
    "exported_through",
    "forecast",
    "hand_on",
    "last_ended_day",
    "mark_exported",
    "require_prices",
    "send_reminders",
    "settle_late_facts",
    "would_bill",
    "write_csv",
    "write_json_lines",
]
