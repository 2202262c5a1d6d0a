-- Rows by binary COPY, into a projection that is read or into a generation that is being filled.

-- name: copy_entries
copy {table}
    (workspace_id, generation, bucket, position, tag, request_id, effective_at, recorded_at,
    posted_minor, held_minor, available_minor)
from stdin (format binary)

-- name: copy_legs
copy {table} (workspace_id, generation, bucket, position, leg, debit_account, credit_account, minor)
from stdin (format binary)

-- name: copy_accounts
copy {table} (workspace_id, generation, bucket, account, debit_minor, credit_minor) from stdin (format binary)

-- name: copy_wallets
copy {table} (workspace_id, generation, bucket, unit, scale, credit_limit_minor) from stdin (format binary)
