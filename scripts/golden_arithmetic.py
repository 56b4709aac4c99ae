"""Losses, schedules and optimiser steps by PyTorch and transformers, for golden_finetune.py.

Purpose: what Mindrail trains with is small arithmetic with many conventions (what is
         averaged over what, which step has which rate), so each convention is
         fixed here by the library that made it usual.
Inputs:  none.
Output:  none; `losses()`, `schedules()` and `optimiser()` give what is written as
         losses.json, schedule.json and adamw.json. All computed in f64.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import get_scheduler

# Ten times the published weight, so that leaving the term out shows.
MU = 0.01
CLASS_WEIGHTS = [2.0, 2.0, 0.5, 2.0, 2.0, 2.0, 2.0, 0.5]


def significant(value: object, digits: int = 9) -> object:
    """Numbers inside lists, dictionaries and tensors, cut to that many significant digits."""
    if isinstance(value, Tensor):
        return significant(value.detach().tolist(), digits)
    if isinstance(value, dict):
        return {key: significant(one, digits) for key, one in value.items()}
    if isinstance(value, list):
        return [significant(one, digits) for one in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def drawn(seed: int, *shape: int, scale: float = 1.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).requires_grad_()


def with_gradients(loss: Tensor, **inputs: Tensor) -> dict:
    """The loss, and its gradient with respect to every input named."""
    gradients = torch.autograd.grad(loss, list(inputs.values()), retain_graph=True)
    return {"loss": loss.item(), **{f"gradient_{name}": one for name, one in zip(inputs, gradients)}}


def binary() -> dict:
    """Extreme logits and a target between 0 and 1 are among them."""
    logits = drawn(1, 4, 9)
    with torch.no_grad():
        logits[0, 0], logits[0, 1] = 60.0, -60.0
    targets = (drawn(2, 4, 9) > 0).double()
    targets[0, :3] = torch.tensor([0.0, 1.0, 0.25], dtype=torch.float64)
    loss = functional.binary_cross_entropy_with_logits(logits, targets)
    return {"logits": logits, "targets": targets, **with_gradients(loss, logits=logits)}


def classes(weights: list[float] | None) -> dict:
    """With weights the sum of weighted terms is divided by the sum of the weights of the classes met."""
    logits, ids = drawn(3, 6, 8), torch.tensor([2, 0, 7, 7, 5, 2])
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    loss = functional.cross_entropy(logits, ids, weight=weight)
    return {"logits": logits, "classes": ids, **({"weights": weights} if weights else {}),
            **with_gradients(loss, logits=logits)}


def preference_terms(better: Tensor, worse: Tensor) -> Tensor:
    return -functional.logsigmoid(better - worse)


def cost_terms(safer: Tensor, less_safe: Tensor, signs: tuple[float, float]) -> Tensor:
    """Safe-RLHF's: the less safe answer costs more, and the sign of each cost is its own label."""
    order = -functional.logsigmoid(less_safe - safer)
    return order - functional.logsigmoid(signs[0] * safer) - functional.logsigmoid(signs[1] * less_safe)


def preference_by_sequence() -> dict:
    better, worse = drawn(4, 5), drawn(5, 5)
    squares = torch.stack([better, worse]).square().mean()
    loss = preference_terms(better, worse).mean() + MU * squares
    return {"mu": MU, "better": better, "worse": worse, **with_gradients(loss, better=better, worse=worse)}


def cost_by_sequence() -> dict:
    """All four combinations of the two labels, as loss arithmetic knows no impossible one."""
    safer, less_safe = drawn(6, 5), drawn(7, 5)
    signs = [(-1.0, 1.0), (-1.0, -1.0), (1.0, 1.0), (1.0, -1.0), (-1.0, 1.0)]
    terms = [cost_terms(safer[i], less_safe[i], signs[i]) for i in range(5)]
    loss = torch.stack(terms).mean() + MU * torch.stack([safer, less_safe]).square().mean()
    return {"mu": MU, "safer": safer, "less_safe": less_safe, "safer_sign": [one for one, _ in signs],
            "less_safe_sign": [one for _, one in signs], **with_gradients(loss, safer=safer, less_safe=less_safe)}


# Token ids of pairs: the first is longer, the second is longer, one begins with the
# whole other one, and two of one length that differ once in the middle.
TOKEN_PAIRS = [
    ([5, 6, 7, 8, 9, 10], [5, 6, 11, 8]),
    ([5, 6, 12], [5, 6, 13, 14, 15]),
    ([5, 6], [5, 6, 7, 7]),
    ([5, 8, 9, 4], [5, 8, 3, 4]),
]


def diverging(left: list[int], right: list[int]) -> int:
    """The first index at which the ids differ; the shorter length where one begins with the other."""
    same = [one == other for one, other in zip(left, right)]
    return same.index(False) if False in same else len(same)


def compared(scores: Tensor, start: int, end: int) -> Tensor:
    """The scores from `start` to `end`, the last one repeated where the sequence has ended."""
    return torch.stack([scores[min(index, len(scores) - 1)] for index in range(start, end)])


def by_token(first: str, second: str, seed: int, terms: object) -> dict:
    """A loss of pairs taken at every position compared, averaged per pair, then over pairs."""
    pairs, found = [], []
    for index, (left_ids, right_ids) in enumerate(TOKEN_PAIRS):
        left, right = drawn(seed + 2 * index, len(left_ids)), drawn(seed + 2 * index + 1, len(right_ids))
        start, end = diverging(left_ids, right_ids), max(len(left_ids), len(right_ids))
        here = compared(left, start, end), compared(right, start, end)
        squares = torch.stack(here).square().mean()
        found.append(terms(index, *here).mean() + MU * squares)
        pairs.append({f"{first}_ids": left_ids, f"{second}_ids": right_ids, "from": start, "to": end,
                      first: left, second: right})
    loss = torch.stack(found).mean()
    for pair in pairs:
        gradients = with_gradients(loss, **{first: pair[first], second: pair[second]})
        pair.update({name: one for name, one in gradients.items() if name != "loss"})
    return {"mu": MU, "pairs": pairs, "loss": loss.item()}


def cost_by_token() -> dict:
    signs = [(-1.0, 1.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    found = by_token("safer", "less_safe", 30, lambda index, *scores: cost_terms(*scores, signs[index]))
    for pair, (safer, less_safe) in zip(found["pairs"], signs):
        pair.update({"safer_sign": safer, "less_safe_sign": less_safe})
    return found


def ordinal() -> dict:
    """CORAL: one score, a bias for each of three thresholds, four levels."""
    scores, biases, levels = drawn(8, 5), drawn(9, 3), torch.tensor([0, 3, 1, 2, 3])
    above = (levels[:, None] > torch.arange(3)).double()
    logits = scores[:, None] + biases
    each = functional.binary_cross_entropy_with_logits(logits, above, reduction="none")
    loss = each.sum(dim=1).mean()
    return {"scores": scores, "biases": biases, "levels": levels, **with_gradients(loss, scores=scores, biases=biases)}


def losses() -> dict:
    token_wise = (
        "Scores are given per token, without padding. With d the first index at which the ids differ (the length of "
        "the shorter one where it is the beginning of the longer one) and n the longer length, positions d..n-1 are "
        "compared ('from' d, 'to' n, exclusive); a sequence that has ended keeps its last score there, whose gradient "
        "is the sum over these positions. The terms are averaged over the positions of a pair, to which mu times the "
        "mean of the squares of both sequences' scores at the same positions is added; pairs are averaged."
    )
    preference = lambda _, *scores: preference_terms(*scores)
    found = {
        "binary_cross_entropy": {"is": "mean over batch x 9", **binary()},
        "cross_entropy": {"is": "mean over the batch", **classes(None)},
        "weighted_cross_entropy": {"is": "sum of w[class] * nll / sum of w[class]", **classes(CLASS_WEIGHTS)},
        "preference_by_sequence": {
            "is": "mean of -log sigmoid(better - worse) + mu * mean of squares of all 2N scores",
            **preference_by_sequence()},
        "preference_by_token": {"is": f"-log sigmoid(better - worse). {token_wise}",
                                **by_token("better", "worse", 10, preference)},
        "cost_by_sequence": {
            "is": "mean of -log sigmoid(less_safe - safer) - log sigmoid(safer_sign * safer) "
                  "- log sigmoid(less_safe_sign * less_safe) + mu * mean of squares of all 2N costs; "
                  "a sign is +1 for an unsafe answer and -1 for a safe one",
            **cost_by_sequence()},
        "cost_by_token": {"is": f"the three terms of cost_by_sequence. {token_wise}", **cost_by_token()},
        "ordinal": {
            "is": "logit k = score + biases[k], target k = level > k; sum over k of the binary cross-entropy, "
                  "mean over the batch", **ordinal()},
    }
    return significant(found)


def factors(kind: str, warm_up: int, total: int) -> list[float]:
    """By which the rate is multiplied at steps 0 to total - 1, and at `total`, where training has ended."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, found = get_scheduler(kind, optimiser, warm_up, total), []
    for _ in range(total + 1):
        found.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return found


def schedules() -> list[dict]:
    """A warm-up given as a ratio is rounded up, as HF's Trainer does: 0.03 of 33 steps is 1 step."""
    found = []
    for kind in ("linear", "cosine"):
        for total, asked in ((40, {"warm_up": 4}), (33, {"ratio": 0.03})):
            warm_up = asked.get("warm_up", math.ceil(total * asked.get("ratio", 0.0)))
            found.append({"kind": kind, "total": total, **asked, "warm_up": warm_up,
                          "factors": factors(kind, warm_up, total)})
    return significant(found)


def steps(weight_decay: float, clip: float | None) -> dict:
    """Five steps of AdamW on two tensors; the gradients grow, so that clipping sets in."""
    tensors = [nn.Parameter(drawn(50, 3, scale=1.0).detach()), nn.Parameter(drawn(51, 2, scale=1.0).detach())]
    start = [one.detach().clone() for one in tensors]
    optimiser = torch.optim.AdamW(tensors, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)
    found = []
    for step in range(5):
        gradients = [drawn(60 + 2 * step + i, len(one), scale=0.1 * 3**step).detach() for i, one in enumerate(tensors)]
        for one, gradient in zip(tensors, gradients):
            one.grad = gradient.clone()
        norm = nn.utils.clip_grad_norm_(tensors, clip if clip else math.inf)
        optimiser.step()
        found.append({"gradients": gradients, "norm_before_clipping": norm,
                      "parameters": [one.detach().clone() for one in tensors]})
    return {"weight_decay": weight_decay, "clip": clip, "start": start, "steps": found}


def optimiser() -> dict:
    is_what = ("AdamW, lr 0.01, betas 0.9 and 0.999, eps 1e-8, two tensors of 3 and 2 numbers; with clip, gradients "
               "are multiplied by min(1, clip / (norm + 1e-6)), the norm being that of both tensors together")
    cases = [steps(0.0, None), steps(0.1, None), steps(0.1, 1.0)]
    return significant({"is": is_what, "lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "cases": cases})
