"""Makes test/golden/tokenizer/<kind>: small tokenizers of the kinds that published models use, and what they encode.

    tokenizer.json, tokenizer_config.json, chat_template.jinja   as transformers 5 saves them
    tokenizer.gguf   the same tokenizer as llama.cpp's converter writes it (no tensors)
    cases.json       text, ids (with what the tokenizer adds itself), ids_no_special, decoded (of ids_no_special, nothing
                     skipped), decoded_skip_special (of ids)

The vocabularies are trained on the texts below and on test/golden/smollm2/text.txt.
"""
import json
import pathlib
import tempfile

import gguf
import sentencepiece as spm
from gguf import GGUFWriter, TokenType
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

ROOT = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
OUT = ROOT / "tokenizer"
CORPUS = [
    (ROOT / "smollm2/text.txt").read_text(),
    "def add(a, b):\n    return a + b\n\nfor (int i = 0; i < 10; ++i) {\n\tprintf(\"%d\\n\", i);\n}\n" * 4,
    "Der Fluß führt übers Jahr viel Wasser. L'été est passé, où êtes-vous? ¿Qué tal, señor? Привет, мир! Как дела?\n" * 4,
    "日本語のテキストです。東京は大きい。中文字符测试，你好世界。한국어 텍스트 안녕하세요\n" * 4,
    "😀😀 🦙🚀 👍🏽 I'm I've you're they'll he'd it's don't 123 1234 3.14 2024-05-06 1,000,000\n" * 4,
]
TEXTS = [
    "", " ", "  ", "   ", "a", " a", "  a", "a ", "a  ", "Hello, world!", " Hello", "Hello  world", "Hello   world   !",
    "\n", "\n\n", "\n\n\n", " \n", "\n ", "a\nb", "a\n\nb", "a \n b", "a\r\nb", "\t", "\t\tx", "a\tb", "x \t\n y",
    "I'm sure you've seen that it's what they'll say, he'd've", "I'M IT'S WE'RE", "don’t",
    "0", "1", "12", "123", "1234", "12345678901", "3.14159", "1,000,000", "v1.2.3-rc4", "٣٤٥", "½ ²",
    "naïve café", "nai\u0308ve cafe\u0301", "e\u0301e\u0300 \u0301", "Straße ÄÖÜ", "Привет, мир!", "ελληνικά",
    "日本語のテキスト", "中文字符测试，你好。", "你好 world 123 世界", "한국어 안녕하세요", "עברית עִבְרִית", "العربية", "हिन्दी में",
    "ไทย", "😀", "😀😀 🦙", "👍🏽", "👩‍👩‍👧‍👦", "🇫🇷🇯🇵", "a😀b", "\u200b\u200d\ufeff", "\u00a0nbsp\u2003em", "x\u0000y", "\u0007",
    "for (int i = 0; i < 10; ++i) {\n\tprintf(\"%d\\n\", i);\n}", "    indented\n        twice\n", "#!/usr/bin/env python3",
    "https://example.org/a?b=c&d=%20#e", "user@example.org", "....", "!!!???", "--- ***", "a_b_c camelCase HTTPServer",
    "<|endoftext|>", "<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n", "x<|endoftext|>y", "<|im_end|> z",
    "<s>", "</s> <unk>", "<s>[INST] Hi [/INST]", "<bos><start_of_turn>user\nHi<end_of_turn>\n", "<|begin_of_text|>Hi<|eot_id|>",
    "<think>\nno\n</think>\n\nyes", "<tool_call>{\"a\": 1}</tool_call>", "< |endoftext| >", "<|endoftext", "<0x0A>", "▁▁a▁b", "Ġa Ċ",
    "The quick brown fox jumps over the lazy dog. " * 3, "\U0001f9ff\U0010fffd", "ﬁﬂ ﷺ Ⅷ ㎏", "zzzzqqqq xxyyzz", "A" * 40,
]  # fmt: skip
APOSTROPHE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPLITS = {
    "llama3": [APOSTROPHE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "qwen2": [APOSTROPHE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "gpt-4o": [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + APOSTROPHE + r"?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + APOSTROPHE + r"?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "deepseek-v3": [
        r"\p{N}{1,3}",
        r"[一-龥぀-ゟ゠-ヿ]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    ],
}  # fmt: skip
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# kind: (pre-tokenizer name in GGUF, special tokens, plain added tokens, bos, eos, options)
BYTE_LEVEL = {
    "gpt2": ("gpt-2", ["<|endoftext|>"], [], "<|endoftext|>", "<|endoftext|>", {}),
    "smollm": ("smollm", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], [], "<|im_start|>", "<|im_end|>", {"template": CHATML}),
    "llama3": ("llama-bpe", ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
               [], "<|begin_of_text|>", "<|eot_id|>", {"add_bos": True, "ignore_merges": True}),
    "qwen2": ("qwen2", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<think>", "</think>", "<tool_call>", "</tool_call>"],
              None, "<|im_end|>", {"nfc": True, "template": CHATML, "config": {"add_bos_token": False, "add_prefix_space": False}}),
    "gpt-4o": ("gpt-4o", ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|start|>", "<|end|>"], [], "<|startoftext|>",
               "<|return|>", {}),
    "deepseek-v3": ("deepseek-v3", ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"], ["<｜User｜>", "<｜Assistant｜>"],
                    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", {"add_bos": True}),
}  # fmt: skip


def byte_level(kind):
    _, special, plain, bos, eos, opt = BYTE_LEVEL[kind]
    t = Tokenizer(models.BPE(ignore_merges=opt.get("ignore_merges", False)))
    if opt.get("nfc"):
        t.normalizer = normalizers.NFC()
    if kind == "gpt2":
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif kind == "smollm":
        t.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    else:
        splits = [pre_tokenizers.Split(Regex(r), behavior="isolated") for r in SPLITS[kind]]
        t.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=640, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    )
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    if plain:
        t.add_tokens([AddedToken(s, special=False, normalized=False) for s in plain])
    byte = processors.ByteLevel(trim_offsets=False)
    if opt.get("add_bos"):
        t.post_processor = processors.Sequence(
            [byte, processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, t.token_to_id(bos))])]
        )
    else:
        t.post_processor = byte
    return t, bos, eos, opt


def train_sentencepiece(folder, **kw):
    path = folder / "corpus.txt"
    path.write_text("\n".join(CORPUS))
    spm.SentencePieceTrainer.train(
        input=str(path), model_prefix=str(folder / "m"), character_coverage=0.99, hard_vocab_limit=False,
        remove_extra_whitespaces=False, normalization_rule_name="identity", num_threads=1, minloglevel=2, **kw,
    )  # fmt: skip
    m = pb.ModelProto()
    m.ParseFromString((folder / "m.model").read_bytes())
    return m


def merges_of(pieces):
    """BPE merges from the scores of a SentencePiece model: every split of a piece into two pieces, best score first."""
    ids = {p.piece: i for i, p in enumerate(pieces)}
    out = []
    for p in pieces:
        if p.type not in (1, 4):
            continue
        halves = [(p.piece[:i], p.piece[i:]) for i in range(1, len(p.piece))]
        halves = sorted(((a, b) for a, b in halves if a in ids and b in ids), key=lambda h: (ids[h[0]], ids[h[1]]))
        out += [(a, b, p.score) for a, b in halves]
    return [(a, b) for a, b, s in sorted(out, key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)]


def sentencepiece_bpe(kind, folder):
    gemma = kind == "gemma"
    runs = ["\n\n", "\n\n\n", "▁▁", "▁▁▁▁"] if gemma else []
    ids = dict(pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>") if gemma else {}
    m = train_sentencepiece(
        folder, model_type="bpe", vocab_size=700, byte_fallback=True, split_digits=True, add_dummy_prefix=not gemma,
        allow_whitespace_only_pieces=True, user_defined_symbols=runs,
        control_symbols=["<start_of_turn>", "<end_of_turn>"] if gemma else [], **ids,
    )  # fmt: skip
    vocab = {p.piece: i for i, p in enumerate(m.pieces)}
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges_of(m.pieces), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bos, eos = ("<bos>", "<eos>") if gemma else ("<s>", "</s>")
    if gemma:
        t.normalizer = normalizers.Replace(" ", "▁")
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    else:
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        t.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    special = [p.piece for p in m.pieces if p.type in (2, 3)]
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    if runs:
        t.add_tokens([AddedToken(s, special=False, normalized=False) for s in runs])
    t.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, vocab[bos])]
    )
    opt = {"unk": "<unk>", "model": m, "config": {"add_bos_token": True, "add_eos_token": False}}
    if gemma:
        opt["pad"] = "<pad>"
    return t, bos, eos, opt


def unigram(folder):
    m = train_sentencepiece(
        folder, model_type="unigram", vocab_size=400, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>",
        add_dummy_prefix=True,
    )  # fmt: skip
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in m.pieces], unk_id=2))
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    t.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in ("<pad>", "</s>", "<unk>")])
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return t, None, "</s>", {"unk": "<unk>", "pad": "<pad>", "model": m, "config": {"add_eos_token": True}}


def write_gguf(kind, folder, tok, opt):
    t = json.loads((folder / "tokenizer.json").read_text())
    added = {a["id"]: a for a in t["added_tokens"]}
    w = GGUFWriter(folder / "tokenizer.gguf", "llama")
    w.add_type("model")
    w.add_name(kind)
    w.add_vocab_size(len(tok))
    if "model" not in opt:  # byte-level BPE
        by_id = {i: s for s, i in t["model"]["vocab"].items()} | {i: a["content"] for i, a in added.items()}
        tokens = [by_id[i] for i in range(len(by_id))]
        types = [TokenType.NORMAL] * len(tokens)
        for i, a in added.items():
            # the converter takes what looks like <|...|> for a control token, too
            looks = a["content"].startswith(("<|", "<｜")) and a["content"].endswith(("|>", "｜>"))
            types[i] = TokenType.CONTROL if a["special"] or looks else TokenType.USER_DEFINED
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre(BYTE_LEVEL[kind][0])
        w.add_token_list(tokens)
        w.add_token_types(types)
    else:
        m = opt["model"]
        same = {1: TokenType.NORMAL, 2: TokenType.UNKNOWN, 3: TokenType.CONTROL, 4: TokenType.USER_DEFINED,
                5: TokenType.UNUSED, 6: TokenType.BYTE}  # fmt: skip
        w.add_tokenizer_model("t5" if kind == "t5" else "llama")
        w.add_tokenizer_pre("default")
        # user-defined pieces are stored with plain spaces
        w.add_token_list([(p.piece.replace("▁", " ") if p.type == 4 else p.piece).encode() for p in m.pieces])
        w.add_token_scores([p.score for p in m.pieces])
        w.add_token_types([same[p.type] for p in m.pieces])
        if kind == "gemma":
            w.add_add_space_prefix(False)
        if kind == "t5":
            w.add_add_space_prefix(True)
            w.add_remove_extra_whitespaces(False)
    gguf.SpecialVocab(folder, load_merges="model" not in opt, n_vocab=len(tok)).add_to_gguf(w, quiet=True)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    w.close()


def make(kind):
    folder = OUT / kind
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        if kind in BYTE_LEVEL:
            t, bos, eos, opt = byte_level(kind)
        elif kind == "t5":
            t, bos, eos, opt = unigram(tmp)
        else:
            t, bos, eos, opt = sentencepiece_bpe(kind, tmp)
    names = {"bos_token": bos, "eos_token": eos, "unk_token": opt.get("unk"), "pad_token": opt.get("pad")}
    tok = PreTrainedTokenizerFast(
        tokenizer_object=t, clean_up_tokenization_spaces=False, **{k: v for k, v in names.items() if v}, **opt.get("config", {})
    )
    if "template" in opt:
        tok.chat_template = opt["template"]
    tok.save_pretrained(folder)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False, separators=(",", ":")) + "\n")
    write_gguf(kind, folder, tok, opt)
    tok = AutoTokenizer.from_pretrained(folder)
    raw = Tokenizer.from_file(str(path))
    own = [s for s in tok.all_special_tokens] + [a.content for a in tok.added_tokens_decoder.values()]
    texts = TEXTS + [f"Hi {s} there{s}" for s in dict.fromkeys(own)]
    cases = []
    for text in texts:
        ids = tok.encode(text)
        plain = tok.encode(text, add_special_tokens=False)
        assert ids == raw.encode(text).ids and plain == raw.encode(text, add_special_tokens=False).ids, text
        cases.append(
            {
                "text": text, "ids": ids, "ids_no_special": plain, "decoded": tok.decode(plain, skip_special_tokens=False),
                "decoded_skip_special": tok.decode(ids, skip_special_tokens=True),
            }
        )  # fmt: skip
    lines = ",\n".join(json.dumps(c, ensure_ascii=True) for c in cases)
    (folder / "cases.json").write_text(f"[\n{lines}\n]\n")
    back = sum(c["decoded"] == c["text"] for c in cases)
    size = sum(p.stat().st_size for p in folder.iterdir())
    print(f"{kind}: {len(tok)} tokens, {len(cases)} cases, {back} decode to the text itself, {size // 1024} KiB", flush=True)
    if "model" in opt:  # how far the SentencePiece library itself agrees; special tokens in text are not its matter
        sp = spm.SentencePieceProcessor(model_proto=opt["model"].SerializeToString())
        differ = [c["text"] for c in cases if "<" not in c["text"] and sp.encode(c["text"]) != [i for i in c["ids_no_special"]]]
        print(f"   SentencePiece itself differs on {len(differ)}: {differ[:8]!r}")


for kind in [*BYTE_LEVEL, "llama-spm", "gemma", "t5"]:
    make(kind)
