"""Golden values for crates/finetune: hub checkpoints at toy size, trained by other people's code.

Purpose: Mindrail reads, runs and trains checkpoints of the hub without Python. Here
         PyTorch, transformers and PEFT do the same with tiny models of every
         architecture, and CI compares without these being installed.
Inputs:  all-MiniLM-L6-v2 (`--base`: model.safetensors and tokenizer.json) for
         minilm.json; nothing for all else, which is drawn by seed.
Command: python scripts/golden_finetune.py [--skip-minilm]
Output:  crates/finetune/tests/golden, whose README.md says what each file holds.
"""

import argparse
import copy
import json
import shutil
import zlib
from pathlib import Path

import torch
import transformers
from golden_arithmetic import losses, optimiser, schedules, significant
from golden_tokenizers import build, cases
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import AutoConfig, AutoModel, BertConfig, BertModel, PreTrainedModel, get_linear_schedule_with_warmup

ENCODERS = ["bert", "roberta", "xlm-roberta", "distilbert", "modernbert"]
DECODERS = ["qwen2", "qwen3", "llama"]
# Widths of heads and of the layers' insides are no multiples of a vector register,
# so that the ends of rows matter.
LAYOUTS = {
    "bert": {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 44, "max_position_embeddings": 40},
    "roberta": {"hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 36, "max_position_embeddings": 34,
                "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "xlm-roberta": {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 28,
                    "max_position_embeddings": 42, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "distilbert": {"dim": 24, "n_heads": 3, "hidden_dim": 36, "max_position_embeddings": 40},
    # Layers 0 and 3 read everything, 1 and 2 four tokens to each side.
    "modernbert": {"hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 28, "local_attention": 8,
                   "global_attn_every_n_layers": 3, "num_hidden_layers": 4, "max_position_embeddings": 64},
    "qwen2": {"hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 36,
              "tie_word_embeddings": True, "rope_theta": 1e6, "max_position_embeddings": 64},
    "qwen3": {"hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 36,
              "head_dim": 10, "tie_word_embeddings": True, "rope_theta": 1e6, "max_position_embeddings": 64},
    "llama": {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 28,
              "tie_word_embeddings": False, "rope_theta": 1e4, "rms_norm_eps": 1e-5, "max_position_embeddings": 64},
}
CLASSES = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "distilbert": "DistilBert",
           "modernbert": "ModernBert", "qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama"}
SIGNALS, STEPS, WARM_UP, RATE, DECAY, CLIP = 9, 50, 5, 1e-3, 0.01, 1.0
LENGTHS = [3, 7, 12, 16, 20, 24]
PAIRED = {2, 4, 5}
LORA_TARGETS = {"bert": ["query", "value"], "qwen2": ["k_proj", "o_proj", "q_proj", "v_proj"],
                "llama": ["k_proj", "o_proj", "q_proj", "v_proj"]}


def generator(*names: object) -> torch.Generator:
    """A seed of its own for every thing drawn, so that adding one changes no other."""
    return torch.Generator().manual_seed(zlib.crc32("/".join(map(str, names)).encode()))


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n")


# ---------------------------------------------------------------------------------
# Models


def marks(architecture: str, tokenizer: Tokenizer) -> dict:
    """The ids of marks that the usual config.json of a family gives."""
    ident = tokenizer.token_to_id
    match architecture:
        case "bert" | "distilbert":
            return {"pad_token_id": ident("[PAD]")}
        case "roberta" | "xlm-roberta":
            return {"pad_token_id": ident("<pad>"), "bos_token_id": ident("<s>"), "eos_token_id": ident("</s>")}
        case "modernbert":
            return {"pad_token_id": ident("[PAD]"), "bos_token_id": ident("[CLS]"), "cls_token_id": ident("[CLS]"),
                    "eos_token_id": ident("[SEP]"), "sep_token_id": ident("[SEP]")}
        case "qwen2" | "qwen3":
            return {"bos_token_id": ident("<|endoftext|>"), "eos_token_id": ident("<|im_end|>")}
        case "llama":
            return {"bos_token_id": ident("<s>"), "eos_token_id": ident("</s>")}
    raise ValueError(architecture)


def settings(architecture: str, tokenizer: Tokenizer) -> dict:
    found = {"vocab_size": tokenizer.get_vocab_size(), **marks(architecture, tokenizer), **LAYOUTS[architecture]}
    if architecture in ("qwen2", "qwen3"):
        found["vocab_size"] += 4  # As on the hub, where the table is longer than the vocabulary.
    if architecture == "distilbert":
        return {"n_layers": 2, "dropout": 0.0, "attention_dropout": 0.0, **found}
    if architecture in ("bert", "roberta", "xlm-roberta"):
        found = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **found}
    return {"num_hidden_layers": 2, **found}


def is_norm(name: str, values: Tensor) -> bool:
    return values.dim() == 1 and name.endswith("weight")


def randomised(model: PreTrainedModel, source: torch.Generator) -> PreTrainedModel:
    """Every parameter drawn, so that no bias is 0, no norm 1, and attention is far from even."""
    for name, values in model.named_parameters():
        scale = 0.3 if "embed" in name and values.dim() > 1 else 0.2
        drawn = torch.randn(values.shape, generator=source) * scale
        values.data.copy_(drawn + 1 if is_norm(name, values) else drawn)
    return model


def made(architecture: str, tokenizer: Tokenizer) -> PreTrainedModel:
    """The class that wrote most of the family's files on the hub, language-model head included."""
    family, task = CLASSES[architecture], "ForCausalLM" if architecture in DECODERS else "ForMaskedLM"
    config = getattr(transformers, f"{family}Config")(**settings(architecture, tokenizer))
    model = getattr(transformers, f"{family}{task}")(config)
    model.set_attn_implementation("eager")
    return randomised(model, generator(architecture, "weights")).eval()


def older_config(config: dict) -> dict:
    """The same config.json in the keys of transformers 4, which most files on the hub still have."""
    found = {key: value for key, value in config.items() if key not in ("rope_parameters", "layer_types", "dtype")}
    found |= {"torch_dtype": config["dtype"], "transformers_version": "4.48.0"}
    if "use_sliding_window" in found:
        found["sliding_window"] = 8  # Given in Qwen's files although it is not used, so it must be ignored.
    rope = config["rope_parameters"]
    if config["model_type"] == "modernbert":
        return found | {"global_attn_every_n_layers": 3, "global_rope_theta": rope["full_attention"]["rope_theta"],
                        "local_rope_theta": rope["sliding_attention"]["rope_theta"]}
    if config["model_type"] == "llama":
        found.pop("head_dim")  # Absent in the files of Llama 1 to 3.
    return found | {"rope_theta": rope["rope_theta"], "rope_scaling": None}


def save_older_config(folder: Path) -> None:
    """Written only where it differs, and read back to see that it means the same."""
    current = json.loads((folder / "config.json").read_text())
    if "rope_parameters" not in current:
        return
    older = folder / "config.v4.json"
    older.write_text(json.dumps(older_config(current), indent=2) + "\n")
    strip = lambda path: {key: value for key, value in AutoConfig.from_pretrained(path).to_dict().items()
                          if key not in ("transformers_version", "_name_or_path")}
    assert strip(older) == strip(folder / "config.json"), folder


def save_tokenizer(tokenizer: Tokenizer, config: dict, folder: Path) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


# ---------------------------------------------------------------------------------
# Inputs and what is computed from them


def marked(architecture: str, tokenizer: Tokenizer, pieces: list[int], paired: bool) -> dict:
    """The pieces with the family's marks around them, `types` being what its tokenizer gives."""
    ident = tokenizer.token_to_id
    if architecture in DECODERS:
        ids = [ident("<s>"), *pieces[1:]] if architecture == "llama" else pieces
        return {"ids": ids, "types": [0] * len(ids)}
    old = architecture in ("roberta", "xlm-roberta")
    opened, closed = (ident("<s>"), ident("</s>")) if old else (ident("[CLS]"), ident("[SEP]"))
    if not paired:
        return {"ids": [opened, *pieces[:-2], closed], "types": [0] * len(pieces)}
    between = [closed, closed] if old else [closed]
    body = pieces[:len(pieces) - 2 - len(between)]
    first = [opened, *body[:len(body) // 3], *between]
    second = [*body[len(body) // 3:], closed]
    return {"ids": first + second, "types": [0] * len(first) + [0 if old else 1] * len(second)}


def drawn_inputs(architecture: str, tokenizer: Tokenizer) -> list[dict]:
    """Six ragged sequences of any pieces but marks; three of an encoder's are pairs."""
    source = generator(architecture, "inputs")
    ordinary = sorted(set(tokenizer.get_vocab().values()) - set(tokenizer.get_added_tokens_decoder()))
    found = []
    for index, length in enumerate(LENGTHS):
        pieces = [ordinary[i] for i in torch.randint(len(ordinary), (length,), generator=source)]
        found.append(marked(architecture, tokenizer, pieces, index in PAIRED))
    return found


def padded(inputs: list[dict], pad: int, side: str = "right") -> dict[str, Tensor]:
    longest = max(len(one["ids"]) for one in inputs)

    def rows(values: list[list[int]], fill: int) -> Tensor:
        blank = lambda row: [fill] * (longest - len(row))
        return torch.tensor([row + blank(row) if side == "right" else blank(row) + row for row in values])

    return {"input_ids": rows([one["ids"] for one in inputs], pad),
            "attention_mask": rows([[1] * len(one["ids"]) for one in inputs], 0),
            "token_type_ids": rows([one["types"] for one in inputs], 0)}


def hidden(base: nn.Module, batch: dict[str, Tensor], typed: bool) -> Tensor:
    """Only BERT is told the types, as the tokenizers of transformers do."""
    given = {key: value for key, value in batch.items() if typed or key != "token_type_ids"}
    return base(**given).last_hidden_state


def pooled(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """For batches padded on the right: the first token, the mean, or the last token."""
    match pooling:
        case "cls":
            return states[:, 0]
        case "mean":
            return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        case "last":
            return states[torch.arange(len(states)), mask.sum(1) - 1]
    raise ValueError(pooling)


class Run:
    """One model's inputs, head and targets: what every computation below shares."""

    def __init__(self, architecture: str, tokenizer: Tokenizer, width: int) -> None:
        self.inputs = drawn_inputs(architecture, tokenizer)
        self.typed = architecture == "bert"
        self.pooling = "last" if architecture in DECODERS else "cls"
        self.pad = marks(architecture, tokenizer).get("pad_token_id", 0)
        source = generator(architecture, "head")
        self.head = nn.Linear(width, SIGNALS)
        self.head.weight.data = torch.randn(SIGNALS, width, generator=source) * 0.3
        self.head.bias.data = torch.randn(SIGNALS, generator=source) * 0.3
        self.targets = (torch.rand(len(self.inputs), SIGNALS, generator=source) < 0.4).float()

    def logits(self, base: nn.Module, head: nn.Linear) -> Tensor:
        batch = padded(self.inputs, self.pad)
        return head(pooled(hidden(base, batch, self.typed), batch["attention_mask"], self.pooling))

    def logits_alone(self, base: nn.Module, head: nn.Linear) -> Tensor:
        """Each input by itself, without padding: the same numbers, rounded otherwise."""
        found = []
        for one in self.inputs:
            batch = padded([one], self.pad)
            found.append(head(pooled(hidden(base, batch, self.typed), batch["attention_mask"], self.pooling)))
        return torch.cat(found)

    def logits_left(self, base: nn.Module, head: nn.Linear) -> Tensor:
        return head(hidden(base, padded(self.inputs, self.pad, "left"), self.typed)[:, -1])

    def loss(self, logits: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(logits, self.targets)


def curve(run: Run, base: nn.Module, alone: bool = False) -> list[float]:
    """The loss before each of 50 full-batch steps; all that asks for a gradient is trained."""
    base, head = copy.deepcopy(base), copy.deepcopy(run.head)
    trained = [one for one in [*base.parameters(), *head.parameters()] if one.requires_grad]
    groups = [{"params": [one for one in trained if one.dim() > 1], "weight_decay": DECAY},
              {"params": [one for one in trained if one.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    schedule = get_linear_schedule_with_warmup(optimizer, WARM_UP, STEPS)
    found = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = run.loss((run.logits_alone if alone else run.logits)(base, head))
        found.append(loss.item())
        loss.backward()
        nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        schedule.step()
    return found


def gradients(run: Run, base: nn.Module, names: dict[nn.Parameter, str]) -> dict[str, Tensor]:
    """By the names given; what has none, such as a language-model head, is left out."""
    for one in [*base.parameters(), *run.head.parameters()]:
        one.grad = None
    run.loss(run.logits(base, run.head)).backward()
    found = {name: one.grad.clone() for one, name in names.items() if one.grad is not None}
    return found | {"signals.weight": run.head.weight.grad.clone(), "signals.bias": run.head.bias.grad.clone()}


def furthest(left: object, right: object) -> float:
    return (torch.as_tensor(left) - torch.as_tensor(right)).abs().max().item()


def states_and_pools(run: Run, base: nn.Module) -> dict:
    batch = padded(run.inputs, run.pad)
    states, mask = hidden(base, batch, run.typed), batch["attention_mask"]
    rows = [one[:count].flatten() for one, count in zip(states, mask.sum(1))]
    return {"hidden": rows, "pooled": {name: pooled(states, mask, name) for name in ("cls", "mean", "last")}}


def padding(run: Run, base: nn.Module) -> dict | None:
    """Whether a decoder's logits are the same on both sides of the padding, positions left to transformers."""
    if run.pooling != "last":
        return None
    difference = furthest(run.logits(base, run.head), run.logits_left(base, run.head))
    return {"right_equals_left": difference < 1e-5, "largest_difference": difference}


def golden(run: Run, base: nn.Module, tokenizer: Tokenizer) -> dict:
    with torch.no_grad():
        logits, described = run.logits(base, run.head), states_and_pools(run, base)
        assert furthest(logits, run.logits_alone(base, run.head)) < 1e-5
        sides = padding(run, base)
    losses_met = curve(run, base)
    found = {"inputs": run.inputs, **described, "pooling": run.pooling, "logits": logits, "targets": run.targets.int(),
             "loss": run.loss(logits).item(), "curve": losses_met,
             "curve_difference_without_padding": furthest(losses_met, curve(run, base, alone=True)), "padding": sides}
    return significant(found, 8) | {"tokenisation": cases(tokenizer)}


# ---------------------------------------------------------------------------------
# Folders


def copies(model: PreTrainedModel, folder: Path) -> None:
    """The same weights in the two other forms that the hub has: a pickle, and shards."""
    names = ["config.json", "tokenizer.json", "tokenizer_config.json"]
    if folder.name == "bert":
        other = folder.with_name("bert-bin")
        other.mkdir(exist_ok=True)
        torch.save(model.state_dict(), other / "pytorch_model.bin")
    elif folder.name == "qwen2":
        other = folder.with_name("qwen2-sharded")
        size = sum(one.numel() * 4 for one in model.parameters())
        model.save_pretrained(other, max_shard_size=size * 2 // 3)
        assert len(list(other.glob("*.safetensors"))) == 2
    else:
        return
    for name in names:
        shutil.copyfile(folder / name, other / name)


def architecture_folder(architecture: str, output: Path) -> None:
    folder = output / architecture
    tokenizer, tokenizer_config = build(architecture)
    model = made(architecture, tokenizer)
    model.save_pretrained(folder)
    save_older_config(folder)
    save_tokenizer(tokenizer, tokenizer_config, folder)
    copies(model, folder)
    base = model.base_model
    run = Run(architecture, tokenizer, base.config.hidden_size)
    save_head(run.head, folder)
    write(folder / "golden.json", golden(run, base, tokenizer))
    # Asked of the base, because a language-model head may own a tied table by another name.
    names = {one: f"{model.base_model_prefix}.{name}" for name, one in base.named_parameters()}
    found = gradients(run, base, names)
    assert found.keys() <= {*load_file(folder / "model.safetensors"), "signals.weight", "signals.bias"}
    save_file(found, folder / "gradients.safetensors")
    if architecture in LORA_TARGETS:
        adapter_folder(run, folder)


def save_head(head: nn.Linear, folder: Path) -> None:
    save_file({"signals.weight": head.weight.data, "signals.bias": head.bias.data}, folder / "head.safetensors")


# ---------------------------------------------------------------------------------
# Adapters


def adapted(folder: Path, rank: int, rank_stabilised: bool) -> nn.Module:
    """PEFT around the base as KHP's recipe has it, both halves of every adapter drawn."""
    more = {"add_pooling_layer": False} if folder.name == "bert" else {}
    base = AutoModel.from_pretrained(folder, attn_implementation="eager", **more)
    config = LoraConfig(r=rank, lora_alpha=8, lora_dropout=0.0, bias="none", task_type="FEATURE_EXTRACTION",
                        target_modules=LORA_TARGETS[folder.name], use_rslora=rank_stabilised)
    model = get_peft_model(base, config).eval()
    source = generator(folder.name, "adapter", rank)
    for one in model.parameters():
        if one.requires_grad:
            one.data = torch.randn(one.shape, generator=source) * 0.2
    return model


def save_adapter(model: nn.Module, folder: Path) -> None:
    """As PEFT writes it, without its model card, and without the path of this machine."""
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    # PEFT keeps the targets as a set, whose order is another one at every run.
    config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = f"golden/{folder.parent.name}"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def merged_logits(run: Run, model: nn.Module) -> Tensor:
    with torch.no_grad():
        return run.logits(copy.deepcopy(model).merge_and_unload(), run.head)


def adapter_folder(run: Run, folder: Path) -> None:
    model = adapted(folder, rank=4, rank_stabilised=False)
    save_adapter(model, folder / "adapter")
    with torch.no_grad():
        logits = run.logits(model, run.head)
    losses_met = curve(run, model)
    found = {"logits": logits, "loss": run.loss(logits).item(), "curve": losses_met,
             "curve_difference_without_padding": furthest(losses_met, curve(run, model, alone=True)),
             "merged_logits": merged_logits(run, model)}
    write(folder / "golden_lora.json", significant(found, 8))
    names = {one: name.replace(".default.", ".") for name, one in model.named_parameters() if one.requires_grad}
    saved = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert set(names.values()) == set(saved)
    save_file(gradients(run, model, names), folder / "adapter" / "gradients.safetensors")
    if folder.name == "qwen2":
        rank_stabilised_folder(run, folder)
        khp_folder(run, model, folder.with_name("khp"))


def rank_stabilised_folder(run: Run, folder: Path) -> None:
    """The scaling is alpha / sqrt(rank) here, and alpha / rank elsewhere."""
    model = adapted(folder, rank=6, rank_stabilised=True)
    save_adapter(model, folder / "adapter-rslora")
    with torch.no_grad():
        logits = run.logits(model, run.head)
    write(folder / "golden_rslora.json", significant({"scaling": 8 / 6**0.5, "logits": logits}, 8))


def khp_folder(run: Run, model: nn.Module, folder: Path) -> None:
    """The layout of the KHP guardrail: qwen2's adapter with a bf16 head and a head over the nine probabilities."""
    folder.mkdir(exist_ok=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(folder.with_name("qwen2") / "adapter" / name, folder / name)
    (folder / "tokenizer").mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(folder.with_name("qwen2") / name, folder / "tokenizer" / name)
    head = copy.deepcopy(run.head).bfloat16()
    torch.save(head.state_dict(), folder / "classifier_head.pt")
    # Close to the published head over probabilities, with the six decimals that its file has.
    weights = [0.818944, 0.490701, 0.896122, 1.624086, 0.461801, 0.803702, 0.869102, 1.405298, 0.394502]
    aggregation = {"weights": weights, "bias": -1.759564}
    (folder / "aggregation_head.json").write_text(json.dumps(aggregation, indent=2) + "\n")
    head = head.float()
    with torch.no_grad():
        logits = run.logits(model, head)
    found = {"base": "../qwen2", "weight": head.weight, "bias": head.bias, "logits": logits,
             "probabilities": logits.sigmoid(), "scores": aggregated(logits, aggregation)}
    write(folder / "khp.json", significant(found, 8))


def aggregated(logits: Tensor, aggregation: dict) -> Tensor:
    return torch.sigmoid(logits.sigmoid() @ torch.tensor(aggregation["weights"]) + aggregation["bias"])


# ---------------------------------------------------------------------------------
# A real checkpoint


def minilm(base: Path) -> tuple[BertModel, dict[nn.Parameter, str]]:
    """The model, and the file's names; the pooler of the file is not used."""
    config = BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                        intermediate_size=1536, layer_norm_eps=1e-12, hidden_dropout_prob=0.0,
                        attention_probs_dropout_prob=0.0, attn_implementation="eager")
    model = BertModel(config, add_pooling_layer=False).float().eval()
    found = load_file(base / "model.safetensors")
    unused = [name for name in found if "pooler" in name or "position_ids" in name]
    model.load_state_dict({name: values.float() for name, values in found.items() if name not in unused}, strict=True)
    return model, {one: name for name, one in model.named_parameters()}


MINILM_TEXTS = [
    "Hello, how was your day?",
    "I slept badly, nobody answered my message, and I keep thinking about it.",
    "Le chat dort sur le canapé depuis ce matin, c'est l'été 😀.",
    "Parfois je me sens seul, même quand la maison est pleine; thank you for listening to me, it helps a little.",
]


def minilm_case(base: Path) -> dict:
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    model, names = minilm(base)
    rows = [tokenizer.encode(text).ids for text in MINILM_TEXTS]
    vectors = torch.cat([model(input_ids=torch.tensor([ids])).last_hidden_state.mean(1) for ids in rows])
    weight = torch.sin(0.1 * torch.arange(9 * 384, dtype=torch.float64)).reshape(9, 384).float() * 0.05
    weight, bias = weight.requires_grad_(), torch.zeros(9, requires_grad=True)
    logits = vectors @ weight.T + bias
    targets = (torch.arange(4)[:, None] + torch.arange(9)) % 2
    loss = binary_cross_entropy_with_logits(logits, targets.float())
    loss.backward()
    norms = {name: one.grad.double().norm().item() for one, name in names.items()}
    norms |= {"signals.weight": weight.grad.double().norm().item(), "signals.bias": bias.grad.double().norm().item()}
    found = {"model": "all-MiniLM-L6-v2", "head": "weight[i][j] = sin(0.1 * (i * 384 + j)) * 0.05, bias 0",
             "texts": MINILM_TEXTS, "ids": rows, "vectors": vectors, "logits": logits, "targets": targets,
             "loss": loss.item(), "gradient_norms": norms}
    return significant(found, 7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=Path("base/all-MiniLM-L6-v2"))
    parser.add_argument("--output", type=Path, default=Path("crates/finetune/tests/golden"))
    parser.add_argument("--skip-minilm", action="store_true", help="leave minilm.json as it is")
    options = parser.parse_args()

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    options.output.mkdir(parents=True, exist_ok=True)
    for architecture in [*ENCODERS, *DECODERS]:
        architecture_folder(architecture, options.output)
    write(options.output / "losses.json", losses())
    write(options.output / "schedule.json", schedules())
    write(options.output / "adamw.json", optimiser())
    if not options.skip_minilm:
        write(options.output / "minilm.json", minilm_case(options.base))
    for path in options.output.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    main()
