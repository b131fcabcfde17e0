"""From what was gathered to what a template shows: plain values and sentences, no markup."""
