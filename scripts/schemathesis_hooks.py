"""What the document cannot say: a key for idempotency belongs to one request."""
import itertools
import re

import schemathesis

numbers = itertools.count()


@schemathesis.hook
def map_headers(context, headers):
    """Gives each valid key another name; what is invalid stays so."""
    key = (headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,200}", key):
        headers["Idempotency-Key"] = f"key-{next(numbers)}"
    return headers
