"""Golden values for crates/model: the encoder and the whole deep network.

Purpose: the Rust encoder, context, heads and gradients are tested against
         PyTorch and Hugging Face transformers, without these being installed.
Inputs:  all-MiniLM-L6-v2 (`--base`: model.safetensors and tokenizer.json) for
         encoder.json; nothing for the tiny network, which is drawn by seed.
Command: python scripts/golden_encoder.py [--only-tiny]
Output:  in crates/model/tests/golden: encoder.json (texts, token ids without
         marks, mean-pooled vectors in f32), tiny.safetensors (weights) and
         tiny.json (inputs, and every step's result and gradients in f64).
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

LONG = (
    "This morning I walked to the market with my sister because we wanted to cook soup for the whole family. "
    "We bought carrots, leeks, a small pumpkin and two loaves of bread, and then it began to rain so hard that "
    "we waited under the roof of the old station for half an hour. A man was playing the accordion there, and a "
    "child danced in yellow boots until everybody laughed. When the rain stopped we carried the bags home, washed "
    "the vegetables, and my grandfather told us for the hundredth time how he once cooked for forty people on a "
    "boat with only one pot. The soup was ready at seven. It needed a little more salt, but nobody complained, "
    "and afterwards we played cards until the candles had burned down and the cat was asleep on my coat, so that "
    "I had to go home without it, which was cold but rather funny."
)
TEXTS = [
    "Hello, how was your day?",
    "I can't believe it's Friday already!!",
    "Le chat dort sur le canapé depuis ce matin, c'est l'été.",
    "ok so j'ai fini mon devoir de maths, it was pretty easy lol",
    "Look at this 😀🎉 so cool 🥐",
    ".",
    "Supercalifragilisticexpialidocious naïveté\tÆsop 東京 1,234.50€",
    LONG,
]
WIDTH, CONTEXT, USER, REPLY, NORM = 16, 6, 26, 31, 5.0
TURNS = [("user", [1, 4, 5, 2]), ("assistant", [1, 7, 2]), ("user", [1, 9, 11, 13, 17, 6, 2]), ("user", [1, 3, 2])]
ANSWER = {"after": 2, "tokens": [1, 15, 16, 8, 2]}
GRADIENTS = [
    "embeddings.LayerNorm.weight",
    "encoder.layer.0.attention.self.query.weight",
    "encoder.layer.0.attention.output.dense.bias",
    "encoder.layer.0.output.LayerNorm.weight",
    "encoder.layer.1.intermediate.dense.weight",
    "encoder.layer.1.output.dense.weight",
    "context.weight_ih",
    "context.weight_hh",
    "context.bias_hh",
    "user.weight",
    "reply.weight",
]


def numbers(tensor: Tensor, digits: int) -> list:
    def rounded(x):
        return [rounded(y) for y in x] if isinstance(x, list) else round(x, digits)

    return rounded(tensor.detach().tolist())


def pooled(model: BertModel, tokens: list[int]) -> Tensor:
    """The mean of all token vectors, marks included."""
    return model(input_ids=torch.tensor([tokens])).last_hidden_state[0].mean(0)


def minilm(base: Path) -> BertModel:
    config = BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                        intermediate_size=1536, layer_norm_eps=1e-12, attn_implementation="eager")
    model = BertModel(config, add_pooling_layer=False).float().eval()
    found = load_file(base / "model.safetensors")
    unused = ("pooler", "position_ids")
    found = {k.removeprefix("bert."): v.float() for k, v in found.items() if not any(u in k for u in unused)}
    model.load_state_dict(found, strict=True)
    return model


def encoder_cases(base: Path) -> dict:
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    opened, closed = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    model, cases = minilm(base), []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        with torch.no_grad():
            vector = pooled(model, [opened, *ids[:126], closed])
        cases.append({"text": text, "ids": ids, "vector": numbers(vector, 6)})
    return {"model": "all-MiniLM-L6-v2", "read": "[CLS] + ids[:126] + [SEP]", "cases": cases}


class Tiny(nn.Module):
    """The deep network at toy size, with Mindrail's tensor names."""

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(vocab_size=20, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
                            intermediate_size=24, max_position_embeddings=12, layer_norm_eps=1e-5,
                            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager")
        self.bert = BertModel(config, add_pooling_layer=False)
        self.context = nn.GRUCell(WIDTH + 2, CONTEXT)
        self.user = nn.Linear(WIDTH + CONTEXT, USER)
        self.reply = nn.Linear(2 * WIDTH + CONTEXT, REPLY)

    def draw(self, seed: int) -> None:
        """Weights large enough that every part of the network matters."""
        generator = torch.Generator().manual_seed(seed)
        for name, values in self.named_parameters():
            drawn = torch.randn(values.shape, generator=generator) * 0.3
            drawn = drawn + 1 if name.endswith("LayerNorm.weight") else drawn
            values.data = drawn.float().to(values.dtype)

    def tensors(self) -> dict[str, nn.Parameter]:
        return {name.removeprefix("bert."): values for name, values in self.named_parameters()}

    def forward(self) -> dict[str, Tensor]:
        """Every turn read in order, then the answer judged."""
        means = torch.stack([pooled(self.bert, tokens) for _, tokens in [*TURNS, (None, ANSWER["tokens"])]])
        vectors = NORM * means / means.norm(dim=1, keepdim=True)
        state, states, user = torch.zeros(CONTEXT, dtype=means.dtype), [], []
        for (role, _), vector in zip(TURNS, vectors):
            who = torch.tensor([1.0, 0.0] if role == "user" else [0.0, 1.0], dtype=means.dtype)
            state = self.context(torch.cat([vector, who]), state)
            states.append(state)
            if role == "user":
                user.append(self.user(torch.cat([vector, state])))
        answer, after = vectors[-1], ANSWER["after"]
        reply = self.reply(torch.cat([answer, states[after], answer * vectors[after]]))
        return {"pooled": means, "vectors": vectors, "states": torch.stack(states),
                "user_logits": torch.stack(user), "reply_logits": reply}


def tiny_case(seed: int) -> tuple[dict[str, Tensor], dict]:
    model = Tiny()
    model.draw(seed)
    stored = {name: values.detach().clone().contiguous() for name, values in model.tensors().items()}
    model.double()  # the stored f32 weights, computed with in f64
    found = model()
    loss = found["user_logits"].square().sum() + found["reply_logits"].sum()
    loss.backward()
    case = {
        "architecture": {"vocabulary": 20, "positions": 12, "layers": 2, "width": WIDTH, "heads": 2,
                         "intermediate": 24, "layer_norm_eps": 1e-5, "context": CONTEXT, "pooling_sharpness": 1.0},
        "turns": [{"role": role, "tokens": tokens} for role, tokens in TURNS],
        "reply": ANSWER,
        "rows": "pooled and vectors: the four turns, then the reply; states: after each turn; user_logits: user turns",
        **{name: numbers(values, 8) for name, values in found.items()},
        "loss_is": "sum of squares of user_logits + sum of reply_logits",
        "loss": round(loss.item(), 8),
        "gradients": {name: numbers(model.tensors()[name].grad.flatten(), 8) for name in GRADIENTS},
    }
    return stored, case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=Path("base/all-MiniLM-L6-v2"))
    parser.add_argument("--output", type=Path, default=Path("crates/model/tests/golden"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only-tiny", action="store_true", help="leave encoder.json as it is")
    options = parser.parse_args()

    options.output.mkdir(parents=True, exist_ok=True)
    write = lambda name, value: (options.output / name).write_text(json.dumps(value, ensure_ascii=False) + "\n")
    weights, case = tiny_case(options.seed)
    save_file(weights, options.output / "tiny.safetensors")
    (options.output / "tiny.safetensors").chmod(0o644)
    write("tiny.json", case)
    if not options.only_tiny:
        write("encoder.json", encoder_cases(options.base))


if __name__ == "__main__":
    main()
