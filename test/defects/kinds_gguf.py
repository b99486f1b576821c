"""Defects of GGUF files: the container, its metadata, vocabulary, tensors; projectors, adapters and importance matrices."""
import math
import struct

from files import ARRAY, STRING
from planting import all_of, gguf, key, no_key, put, raw

M = "llama-gguf"
F = "model.gguf"


def tensor(name, field, value):
    return gguf(lambda m: put(m.tensors[name], field, value))


def numbers(name, change):
    """Of a float32 tensor."""

    def plant(m):
        data = m.tensors[name][2]
        values = list(struct.unpack(f"<{len(data) // 4}f", data))
        values = change(values) or values
        m.tensors[name][2] = struct.pack(f"<{len(values)}f", *values)

    return gguf(plant)


def tokens(change):
    return gguf(lambda m: change(m.keys["tokenizer.ggml.tokens"][1][1]) and None)


CONTAINER = [
    ("magic wrong", M, gguf(magic=b"GGML"), ["gguf.magic", "model.unknown-format"]),
    ("version unknown", M, gguf(version=9), ["gguf.version"]),
    ("version zero", M, raw(lambda d: d[:4] + bytes(4) + d[8:], F), ["gguf.version"]),
    ("cut short", M, raw(lambda d: d[:-1000], F), ["gguf.truncated", "gguf.beyond-end"]),
    ("cut within the metadata", M, raw(lambda d: d[:500], F), ["gguf.truncated", "gguf.beyond-end", "gguf.count"]),
    ("empty file", M, raw(lambda d: b"", F), ["gguf.truncated", "gguf.magic", "model.unknown-format"]),
    ("LFS pointer", M, raw(lambda d: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"b" * 64 + b"\nsize 9\n", F),
     ["file.lfs-pointer", "gguf.magic", "model.unknown-format"]),
    ("one tensor more announced", M, gguf(tensors=22), ["gguf.truncated", "gguf.tensor-type", "gguf.dimensions", "gguf.beyond-end", "gguf.name", "gguf.count"]),
    ("tensors without number", M, gguf(tensors=1 << 60), ["gguf.count", "gguf.truncated"]),
    ("keys without number", M, gguf(keys=1 << 60), ["gguf.count", "gguf.truncated"]),
    ("offsets overlap", M, gguf(offsets={"token_embd.weight": 0}), ["gguf.overlap", "gguf.hole"]),
    ("offset beyond the end", M, gguf(offsets={"output_norm.weight": 1 << 40}), ["gguf.beyond-end", "gguf.truncated", "gguf.hole"]),
    ("offset not aligned", M, gguf(offsets={"output_norm.weight": 7}), ["gguf.misaligned", "gguf.overlap"]),
    ("alignment zero", M, gguf(lambda m: put(m.keys, "general.alignment", [4, 0])), ["gguf.alignment"]),
    ("alignment no power of two", M, gguf(lambda m: put(m.keys, "general.alignment", [4, 33])), ["gguf.alignment"]),
    ("alignment a text", M, gguf(lambda m: put(m.keys, "general.alignment", [STRING, "32"])), ["gguf.alignment", "gguf.metadata-type", "gguf.value-type"]),
    ("type of tensor unknown", M, tensor("output_norm.weight", 1, 99), ["gguf.tensor-type"]),
    ("type of tensor withdrawn", M, tensor("output_norm.weight", 1, 4), ["gguf.removed-type", "gguf.tensor-type"]),
    ("blocks do not divide the row", M, tensor("output_norm.weight", 1, 14), ["gguf.block-size"]),
    ("five dimensions", M, tensor("output_norm.weight", 0, [64, 1, 1, 1, 1]), ["gguf.dimensions"]),
    ("dimension zero", M, tensor("output_norm.weight", 0, [0]), ["gguf.dimensions", "gguf.hole", "shape.mismatch"]),
    ("dimensions overflow", M, tensor("output_norm.weight", 0, [1 << 62, 8]), ["gguf.size-overflow", "gguf.dimensions", "gguf.beyond-end"]),
    ("left-over data", M, raw(lambda d: d + bytes(4096), F), ["gguf.trailing-data"]),
    ("a tensor twice", M, raw(lambda d: d.replace(b"blk.0.ffn_up.weight", b"blk.1.ffn_up.weight", 1), F), ["gguf.duplicate-tensor"]),
    ("a key twice", M, raw(lambda d: d.replace(b"llama.attention.key_length", b"llama.rope.dimension_count", 1), F), ["gguf.duplicate-key"]),
    ("byte order reversed", M, raw(lambda d: d[:4] + d[4:8][::-1] + d[8:], F), ["gguf.version", "gguf.big-endian", "gguf.count"]),
    ("truth value of two", M, all_of(gguf(lambda m: put(m.keys, "tokenizer.ggml.add_bos_token", [7, True])),
     raw(lambda d: d.replace(b"add_bos_token\x07\0\0\0\x01", b"add_bos_token\x07\0\0\0\x02"), F)), ["gguf.boolean"]),
]  # fmt: skip

METADATA = [
    ("architecture missing", M, no_key("general.architecture"), ["gguf.no-architecture"]),
    ("architecture unknown", M, key("general.architecture", "llamma"), ["arch.unsupported"]),
    ("architecture of another", M, key("general.architecture", "gemma2"), ["config.missing-field"]),
    ("layers doubled", M, key("llama.block_count", 4), ["tensor.missing"]),
    ("one layer less", M, key("llama.block_count", 1), ["tensor.unexpected"]),
    ("layers missing", M, no_key("llama.block_count"), ["config.missing-field"]),
    ("width doubled", M, key("llama.embedding_length", 128), ["shape.mismatch"]),
    ("width missing", M, no_key("llama.embedding_length"), ["config.missing-field"]),
    ("inner width halved", M, key("llama.feed_forward_length", 48), ["shape.mismatch"]),
    ("heads doubled", M, key("llama.attention.head_count", 8), ["shape.mismatch"]),
    ("heads zero", M, key("llama.attention.head_count", 0), ["config.invalid-value", "config.contradiction", "config.missing-field"]),
    ("KV heads doubled", M, key("llama.attention.head_count_kv", 4), ["shape.mismatch"]),
    ("KV heads no divisor", M, key("llama.attention.head_count_kv", 3), ["config.contradiction", "shape.mismatch", "config.invalid-value"]),
    ("key length halved", M, key("llama.attention.key_length", 8), ["shape.mismatch"]),
    ("epsilon missing", M, no_key("llama.attention.layer_norm_rms_epsilon"), ["config.missing-field"]),
    ("epsilon zero", M, key("llama.attention.layer_norm_rms_epsilon", 0.0), ["config.invalid-value"]),
    ("rope base zero", M, key("llama.rope.freq_base", 0.0), ["rope.inconsistent"]),
    ("context zero", M, key("llama.context_length", 0), ["config.invalid-value", "config.contradiction"]),
    ("context a text", M, gguf(lambda m: put(m.keys, "llama.context_length", [STRING, "128"])), ["gguf.metadata-type", "gguf.value-type", "config.invalid-value"]),
    ("rotated dimensions halved", M, key("llama.rope.dimension_count", 8), ["rope.inconsistent", "config.contradiction", "config.unpublished-value"]),
    ("vocabulary size wrong", M, key("llama.vocab_size", 300), ["shape.mismatch", "config.contradiction"]),
    ("rope scaling unknown", M, gguf(lambda m: put(m.keys, "llama.rope.scaling.type", [STRING, "yarm"])), ["config.invalid-value", "gguf.no-equivalent"]),
    ("rope scaling without a factor", M, gguf(lambda m: put(m.keys, "llama.rope.scaling.type", [STRING, "linear"])), ["config.missing-field"]),
    ("expert count of a dense model", M, gguf(lambda m: put(m.keys, "llama.expert_count", [4, 8])),
     ["config.missing-field", "tensor.missing", "config.contradiction"]),
    ("part of a split alone", M, gguf(lambda m: m.keys.update({"split.no": [2, 0], "split.count": [2, 3], "split.tensors.count": [5, 60]})),
     ["gguf.split-name", "gguf.missing-part"]),
]  # fmt: skip

VOCABULARY = [
    ("vocabulary missing", M, no_key("tokenizer.ggml.tokens"), ["tokenizer.missing", "tokenizer.malformed"]),
    ("kind of vocabulary unknown", M, key("tokenizer.ggml.model", "bpp"), ["tokenizer.unsupported"], "values"),
    ("way to split text unknown", M, key("tokenizer.ggml.pre", "llama-bqe"), ["tokenizer.unsupported"], "values"),
    ("way to split text missing", M, no_key("tokenizer.ggml.pre"), ["tokenizer.pre-assumed"], "values"),
    ("merges missing", M, no_key("tokenizer.ggml.merges"), ["tokenizer.malformed"], "values"),
    ("merge of one piece", M, gguf(lambda m: put(m.keys["tokenizer.ggml.merges"][1][1], 0, "th")), ["tokenizer.malformed"], "values"),
    ("tokens too many", M, tokens(lambda t: t.extend(f"extra{i}" for i in range(9))),
     ["tokenizer.vocab-exceeds-embedding", "tokenizer.malformed"]),
    ("tokens too few", M, tokens(lambda t: t.__delitem__(slice(200, None))), ["tokenizer.malformed", "tokenizer.vocab-padding"]),
    ("token types too few", M, gguf(lambda m: m.keys["tokenizer.ggml.token_type"][1][1].__delitem__(slice(9, None))), ["tokenizer.malformed"], "values"),
    ("a token twice", M, tokens(lambda t: put(t, 10, t[11])), ["tokenizer.malformed", "tokenizer.id-collision"], "values"),
    ("end id beyond the vocabulary", M, key("tokenizer.ggml.eos_token_id", 5000), ["special-token.out-of-range"]),
    ("end id missing", M, no_key("tokenizer.ggml.eos_token_id"), ["special-token.no-eos"]),
    ("start id beyond the vocabulary", M, key("tokenizer.ggml.bos_token_id", 5000), ["special-token.out-of-range"]),
    ("template wrong", M, key("tokenizer.chat_template", "{% for m in messages %}{{ m.content }"), ["template.failed"]),
    ("template without end", M, key("tokenizer.chat_template", "{% for i in range(9999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}"), ["template.failed"]),
    ("template without the content", M, key("tokenizer.chat_template", "hello"), ["template.failed"]),
]  # fmt: skip

TENSORS = [
    ("norm missing", M, gguf(lambda m: m.tensors.pop("blk.0.attn_norm.weight") and None), ["tensor.missing"]),
    ("embedding missing", M, gguf(lambda m: m.tensors.pop("token_embd.weight") and None), ["tensor.missing"]),
    ("last layer missing", M, gguf(lambda m: [m.tensors.pop(n) for n in list(m.tensors) if n.startswith("blk.1.")] and None), ["tensor.missing"]),
    ("tensor left over", M, gguf(lambda m: put(m.tensors, "blk.9.ffn_up.weight", [[64, 96], 0, bytes(64 * 96 * 4)])), ["tensor.unexpected"]),
    ("names of another architecture", M, raw(lambda d: d.replace(b"ffn_gate", b"ffn_norn"), F), ["tensor.missing"]),
    ("matrix transposed", M, tensor("blk.0.ffn_up.weight", 0, [96, 64]), ["shape.mismatch"]),
    ("NaN", M, numbers("blk.0.ffn_up.weight", lambda v: put(v, 3, math.nan)), ["tensor.not-finite"], "values"),
    ("infinity in the embedding", M, numbers("token_embd.weight", lambda v: put(v, 0, math.inf)), ["tensor.not-finite"], "values"),
    ("all zero", M, numbers("blk.1.attn_q.weight", lambda v: [0.0] * len(v)), ["tensor.all-zero"], "values"),
    ("all the same", M, numbers("blk.1.attn_q.weight", lambda v: [1.0] * len(v)), ["tensor.constant"], "values"),
    ("integers as weights", M, gguf(lambda m: put(m.tensors["blk.0.ffn_up.weight"], 1, 26)), ["tensor.dtype"]),
]  # fmt: skip

P = "mmproj-tiny.gguf"
OTHERS = [
    ("projector without a mean", "mmproj", no_key("clip.vision.image_mean", P), ["projector.key-missing"]),
    ("projector with another mean", "mmproj", key("clip.vision.image_mean", [6, [0.1, 0.1, 0.1]], P), ["projector.unpublished-value"]),
    ("projector with another deviation", "mmproj", key("clip.vision.image_std", [6, [2.0, 2.0, 2.0]], P), ["projector.unpublished-value"]),
    ("projector without a patch size", "mmproj", no_key("clip.vision.patch_size", P), ["projector.key-missing"]),
    ("projector of other patches", "mmproj", key("clip.vision.patch_size", 16, P), ["projector.shape-mismatch"]),
    ("projector of other pictures", "mmproj", key("clip.vision.image_size", 224, P), ["projector.shape-mismatch"]),
    ("projector of another width", "mmproj", key("clip.vision.embedding_length", 32, P), ["projector.shape-mismatch"]),
    ("projector of more layers", "mmproj", key("clip.vision.block_count", 3, P), ["projector.tensor-missing", "projector.shape-mismatch"]),
    ("projector without its type", "mmproj", no_key("clip.projector_type", P), ["projector.key-missing"]),
    ("projector without an epsilon", "mmproj", no_key("clip.vision.attention.layer_norm_epsilon", P), ["projector.key-missing"]),
    ("projector to another width", "mmproj", key("clip.vision.projection_dim", 64, P), ["projector.shape-mismatch"]),
    ("projector heads no divisor", "mmproj", key("clip.vision.attention.head_count", 3, P), ["projector.shape-mismatch", "config.contradiction"]),
    ("projector without positions", "mmproj", gguf(lambda m: m.tensors.pop("v.position_embd.weight") and None, P), ["projector.tensor-missing"]),
    ("projector without a bias", "mmproj", gguf(lambda m: m.tensors.pop("v.blk.0.attn_q.bias") and None, P), ["projector.tensor-missing"]),
    ("importance matrix without counts", "imatrix", gguf(lambda m: m.tensors.pop("blk.0.attn_q.weight.counts") and None, "imatrix.gguf"), ["imatrix.incomplete"]),
    ("importance matrix without sums", "imatrix", gguf(lambda m: m.tensors.pop("blk.0.attn_q.weight.in_sum2") and None, "imatrix.gguf"), ["imatrix.incomplete"]),
]  # fmt: skip

KINDS = {"gguf": CONTAINER, "gguf metadata": METADATA, "gguf vocabulary": VOCABULARY, "gguf tensors": TENSORS,
         "gguf others": OTHERS}  # fmt: skip
