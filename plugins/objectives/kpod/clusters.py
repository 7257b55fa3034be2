"""k-means (Lloyd 1982) with the seeding of k-means++ (Arthur and Vassilvitskii 2007), on few thousand points."""

from __future__ import annotations

import random
from typing import Any

MOST_ROUNDS = 50


def k_means(points: Any, clusters: int, seed: int) -> list[int]:
    """The cluster of each point, 0 ... clusters - 1; the same for the same seed.

    Args:
        points: a float tensor (N, D). Fewer distinct points than clusters make fewer clusters.
        clusters: how many at most.
    """
    import torch

    draw = random.Random(seed)
    centres = points[[draw.randrange(len(points))]]
    while len(centres) < clusters:
        nearest = torch.cdist(points, centres).square().min(dim=1).values.double().cpu()
        if not float(nearest.sum()) > 0:
            break  # every point is a centre already
        wanted = draw.random() * float(nearest.sum())
        place = int(torch.searchsorted(nearest.cumsum(0), wanted).clamp(max=len(points) - 1))
        centres = torch.cat([centres, points[[place]]])
    found: Any = None
    for _ in range(MOST_ROUNDS):
        now = torch.cdist(points, centres).argmin(dim=1)
        if found is not None and torch.equal(now, found):
            break
        found = now
        for cluster in range(len(centres)):
            if (found == cluster).any():
                centres[cluster] = points[found == cluster].mean(dim=0)
    return [int(cluster) for cluster in found]
