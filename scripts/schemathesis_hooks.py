"""What the document cannot say: a key for idempotency belongs to one request."""
import itertools
import re

import schemathesis

numbers = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives each valid key another name; what is invalid stays so."""
    headers = case.headers or {}
    # A case that leaves a header out on purpose is recognised by its headers.
    leaves_out = "issing" in (getattr(case.meta.phase.data, "description", None) or "")
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[ -~]{1,200}", key) and key.strip() and not leaves_out:
        headers["Idempotency-Key"] = f"key-{next(numbers)}"
