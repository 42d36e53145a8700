"""What a store holds, as one digest: equal work gives equal content."""

from clbench.core.keys import digest


def content_digest(store):
    """Digest of what all stages hold, times and costs left out; a broken stage is set aside and does not count."""
    held = {(kind, key): store.stage(kind, key) for kind, key, _ in store.stages()}
    return digest({f"{kind}/{key}": stage["files"] for (kind, key), stage in held.items() if stage is not None})
