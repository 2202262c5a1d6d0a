"""Double entry without tokens: units, amounts, accounts, entries, rounding, refusals, identifiers."""
