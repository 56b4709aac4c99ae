"""Small tokenizers with the real pipelines of the hub's families, for golden_finetune.py.

Purpose: Mindrail reads `tokenizer.json` as it finds it on the hub, so the golden
         files need one of every family, with the normaliser, the splitting and
         the template of the real one and a vocabulary of a few hundred pieces.
Inputs:  none; the sentences below are the whole training text.
Output:  none; `build(architecture)` is called by golden_finetune.py.
"""

import io
import json
import tempfile
from collections import Counter
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = [
    "Hello, how was your day at school?",
    "It was a long day, and I am tired of talking to everybody.",
    "I do not know what to say, it feels heavy today.",
    "My friend waited for me after the lesson, so we walked home together.",
    "Sometimes I feel alone even when the room is full.",
    "Thank you for listening to me, it helps a little.",
    "What would make this evening a bit easier for you?",
    "We could talk about the music you like, or about tomorrow.",
    "I slept badly and the morning was grey.",
    "Nobody answered my message, and I keep thinking about it.",
    "Would you like to tell your sister how you feel?",
    "The soup was ready at seven and it needed a little more salt.",
    "I'm fine, I've just had too much homework this week.",
    "They're coming on Friday, and we'll watch a film.",
    "Bonjour, comment s'est passée ta journée ?",
    "Je suis fatigué, et je n'ai pas envie de parler aujourd'hui.",
    "Mon ami m'a attendue après le cours, nous sommes rentrés ensemble.",
    "Parfois je me sens seul, même quand la maison est pleine.",
    "Merci de m'écouter, ça m'aide un peu.",
    "Qu'est-ce qui rendrait cette soirée plus facile pour toi ?",
    "On pourrait parler de la musique que tu aimes, ou de demain.",
    "J'ai mal dormi et le matin était gris.",
    "Personne n'a répondu à mon message, et j'y pense encore.",
    "Le chat dort sur le canapé depuis ce matin, c'est l'été.",
    "Je ne sais pas quoi dire, c'est lourd aujourd'hui.",
    "Est-ce que tu veux en parler avec ta grand-mère ?",
]
# Every family meets the same cases, among them what often goes wrong: no text at
# all, line ends, blanks at both ends, decomposed accents, and marks written out
# by the person, which the families treat differently.
TEXTS = [
    "Hello, how was your day?",
    "Le chat dort sur le canapé depuis ce matin, c'est l'été.",
    "Look at this 😀🎉 so cool 🥐",
    "",
    "   ",
    "東京 Ωmega ﬁn… ＡＢ",
    "First line\n\nsecond line\r\n\tthird line\n",
    "  two blanks before, three after   ",
    "ÉTÉ, cafe\u0301, nai\u0308ve, Zoë\u00a0!",
    "I'm fine, WE'VE 1234 songs, it'll do!!! <3",
    "a [SEP] b </s> c <|im_end|> d [unused1] e <mask>",
]
PAIRS = [
    ("How do you feel today?", "A bit better, merci."),
    ("", "ok"),
    ("Salut !", ""),
]
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# XLM-R's real table is that of NFKC and has 240 kB; these rules are its form at
# toy size: code points on the left become those on the right (both in hex).
CHARACTER_RULES = [
    ("9", "20"), ("A", "20"), ("D", "20"), ("A0", "20"), ("3000", "20"),
    ("2026", "2E 2E 2E"), ("FB01", "66 69"), ("FF21", "41"), ("FF22", "42"), ("65 301", "E9"), ("69 308", "EF"),
]


def special(*tokens: str) -> list[AddedToken]:
    return [AddedToken(token, special=True, normalized=False) for token in tokens]


def template(opened: str, closed: str, tokenizer: Tokenizer, pair: str) -> processors.TemplateProcessing:
    """One text between two marks; `pair` is written as on the hub."""
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in (opened, closed)]
    return processors.TemplateProcessing(single=f"{opened} $A {closed}", pair=pair, special_tokens=marks)


def word_pieces(lowercase: bool) -> list[str]:
    """Single characters, then the parts of words that cover most of the sentences.

    Counted here, because the trainer of `tokenizers` numbers pieces that begin with
    `##` in another order at every run, and WordPiece needs no order.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()
    covered: Counter[str] = Counter()
    for sentence in SENTENCES:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(sentence)):
            spans = [(start, end) for start in range(len(word)) for end in range(start + 1, len(word) + 1)]
            covered.update({("##" if start else "") + word[start:end]: end - start for start, end in spans})
    characters = sorted(piece for piece in covered if len(piece.removeprefix("##")) == 1)
    longer = sorted(set(covered) - set(characters), key=lambda piece: (-covered[piece], piece))
    return characters + longer[:200 - 7 - len(characters)]


def wordpiece(lowercase: bool) -> tuple[Tokenizer, dict]:
    """BERT's: uncased for bert, cased for distilbert, whose usual multilingual file is cased."""
    marks = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = {piece: index for index, piece in enumerate([*marks, *word_pieces(lowercase)])}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=100))
    # The unused ones are words of the vocabulary only, as on the hub: no text is read as them.
    tokenizer.add_special_tokens(special("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = template("[CLS]", "[SEP]", tokenizer, "[CLS] $A [SEP] $B:1 [SEP]:1")
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    config = {"tokenizer_class": "BertTokenizer" if lowercase else "DistilBertTokenizer", "do_lower_case": lowercase,
              "cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]",
              "unk_token": "[UNK]", "model_max_length": 512}
    return tokenizer, config


def byte_pieces(size: int, marks: list[str], pre_tokenizer: object) -> Tokenizer:
    """Pieces of bytes; the 256 bytes are always among them, so nothing is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=marks, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def roberta() -> tuple[Tokenizer, dict]:
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = byte_pieces(299, marks, pre_tokenizers.ByteLevel(add_prefix_space=False))
    # The mask is the last of RoBERTa's vocabulary and swallows the blank before it.
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    ends = [(mark, tokenizer.token_to_id(mark)) for mark in ("</s>", "<s>")]
    tokenizer.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True, add_prefix_space=False)
    config = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False, "bos_token": "<s>", "cls_token": "<s>",
              "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
              "mask_token": "<mask>", "model_max_length": 512}
    return tokenizer, config


def unigram() -> sentencepiece_model_pb2.ModelProto:
    """A SentencePiece model: the trainer of `tokenizers` gives another one at every run."""
    model, found = io.BytesIO(), sentencepiece_model_pb2.ModelProto()
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text("".join(f"{source}\t{target}\n" for source, target in CHARACTER_RULES))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=180, model_type="unigram",
            normalization_rule_tsv=str(rules), character_coverage=1.0, num_threads=1, minloglevel=2)
    found.ParseFromString(model.getvalue())
    return found


def xlm_roberta() -> tuple[Tokenizer, dict]:
    model = unigram()
    marks = [(mark, 0.0) for mark in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces = [(piece.piece, piece.score) for piece in model.pieces[3:]]
    tokenizer = Tokenizer(models.Unigram([*marks, *pieces, ("<mask>", 0.0)], unk_id=3))
    tokenizer.add_special_tokens(special("<s>", "<pad>", "</s>", "<unk>"))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    tokenizer.normalizer = normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.post_processor = template("<s>", "</s>", tokenizer, "<s> $A </s> </s> $B </s>")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    config = {"tokenizer_class": "XLMRobertaTokenizer", "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>",
              "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
              "model_max_length": 512}
    return tokenizer, config


def modernbert() -> tuple[Tokenizer, dict]:
    tokenizer = byte_pieces(295, [], pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.normalizer = normalizers.NFC()
    # ModernBERT's marks come after all pieces.
    tokenizer.add_special_tokens(special("[UNK]", "[CLS]", "[SEP]", "[PAD]"))
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True, normalized=False)])
    tokenizer.post_processor = template("[CLS]", "[SEP]", tokenizer, "[CLS] $A [SEP] $B:1 [SEP]:1")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "[CLS]", "mask_token": "[MASK]",
              "pad_token": "[PAD]", "sep_token": "[SEP]", "unk_token": "[UNK]", "model_max_length": 8192,
              "model_input_names": ["input_ids", "attention_mask"]}
    return tokenizer, config


def qwen() -> tuple[Tokenizer, dict]:
    """No mark is added to a text, and the marks come after all pieces."""
    split = pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated", invert=False)
    into_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = byte_pieces(298, [], pre_tokenizers.Sequence([split, into_bytes]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(special("<|endoftext|>", "<|im_end|>"))
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    config = {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "add_prefix_space": False,
              "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None,
              "model_max_length": 131072}
    return tokenizer, config


def llama_pieces() -> models.BPE:
    """Pieces of characters, and one piece for every byte, as SentencePiece makes them.

    Rare characters are left out of the training text, so that some of the ordinary
    ones have to be spelled in bytes too.
    """
    counted = Counter("".join(SENTENCES))
    common = ["".join(letter for letter in sentence if counted[letter] > 5) for sentence in SENTENCES]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    trained.train_from_iterator(common, trainers.BpeTrainer(vocab_size=100, show_progress=False))
    learned = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *(piece for piece, _ in learned)]
    merges = [tuple(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    return models.BPE({piece: index for index, piece in enumerate(pieces)}, merges, unk_token="<unk>",
                      fuse_unk=True, byte_fallback=True)


def llama() -> tuple[Tokenizer, dict]:
    """Llama 2's: blanks become ▁ in the normaliser, and what is unknown becomes bytes."""
    tokenizer = Tokenizer(llama_pieces())
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(content=" ", left=1)])
    # Written as objects and without a padding mark, as in Llama's own file.
    mark = lambda text: {"__type": "AddedToken", "content": text, "lstrip": False, "normalized": False,
                         "rstrip": False, "single_word": False}
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False,
              "bos_token": mark("<s>"), "eos_token": mark("</s>"), "unk_token": mark("<unk>"), "pad_token": None,
              "legacy": True, "model_max_length": 4096}
    return tokenizer, config


def build(architecture: str) -> tuple[Tokenizer, dict]:
    """The tokenizer and what its `tokenizer_config.json` says."""
    match architecture:
        case "bert":
            return wordpiece(lowercase=True)
        case "distilbert":
            return wordpiece(lowercase=False)
        case "roberta":
            return roberta()
        case "xlm-roberta":
            return xlm_roberta()
        case "modernbert":
            return modernbert()
        case "qwen2" | "qwen3":
            return qwen()
        case "llama":
            return llama()
    raise ValueError(architecture)


def cases(tokenizer: Tokenizer) -> list[dict]:
    """Ids and types of all texts and pairs, marks included."""
    found = []
    for text in TEXTS:
        encoding = tokenizer.encode(text)
        found.append({"text": text, "ids": encoding.ids, "types": encoding.type_ids})
    for text, pair in PAIRS:
        encoding = tokenizer.encode(text, pair)
        found.append({"text": text, "pair": pair, "ids": encoding.ids, "types": encoding.type_ids})
    return found
