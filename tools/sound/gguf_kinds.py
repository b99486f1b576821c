"""GGUFs that are no language model, with the keys and names of llama.cpp's converters."""
import gguf
import numpy
from common import folder


def noise(*shape, seed=0):
    return (numpy.random.default_rng(seed + sum(shape)).standard_normal(shape) * 0.1).astype(numpy.float16)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def mmproj():
    """A CLIP of two blocks with LLaVA's projector to a model of 32 channels, the picture as published."""
    width, inner, blocks, patch, image, out = 16, 32, 2, 14, 56, 32
    w = gguf.GGUFWriter(folder("mmproj") / "mmproj-tiny.gguf", "clip")
    w.add_type(gguf.GGUFType.MMPROJ)
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "mlp")
    for key, value in (("image_size", image), ("patch_size", patch), ("embedding_length", width),
                       ("feed_forward_length", inner), ("projection_dim", out), ("block_count", blocks),
                       ("attention.head_count", 2)):  # fmt: skip
        w.add_uint32("clip.vision." + key, value)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    w.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    w.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])
    w.add_bool("clip.use_gelu", True)
    w.add_tensor("v.class_embd", noise(width))
    w.add_tensor("v.patch_embd.weight", noise(width, 3, patch, patch))
    w.add_tensor("v.position_embd.weight", noise((image // patch) ** 2 + 1, width))
    for n in range(blocks):
        for name, a, b in (("attn_q", width, width), ("attn_k", width, width), ("attn_v", width, width),
                           ("attn_out", width, width), ("ffn_up", inner, width), ("ffn_down", width, inner)):  # fmt: skip
            w.add_tensor(f"v.blk.{n}.{name}.weight", noise(a, b, seed=n))
            w.add_tensor(f"v.blk.{n}.{name}.bias", noise(a, seed=n))
        for name in ("ln1", "ln2"):
            w.add_tensor(f"v.blk.{n}.{name}.weight", 1 + noise(width, seed=n))
            w.add_tensor(f"v.blk.{n}.{name}.bias", noise(width, seed=n))
    w.add_tensor("mm.0.weight", noise(out, width))
    w.add_tensor("mm.0.bias", noise(out))
    w.add_tensor("mm.2.weight", noise(out, out))
    w.add_tensor("mm.2.bias", noise(out))
    write(w)


def imatrix():
    w = gguf.GGUFWriter(folder("imatrix") / "imatrix.gguf", "imatrix")
    w.add_type("imatrix")
    w.add_array("imatrix.datasets", ["text"])
    w.add_uint32("imatrix.chunk_count", 1)
    w.add_uint32("imatrix.chunk_size", 512)
    for n in range(2):
        w.add_tensor(f"blk.{n}.attn_q.weight.in_sum2", numpy.abs(noise(32, seed=n)).astype(numpy.float32))
        w.add_tensor(f"blk.{n}.attn_q.weight.counts", numpy.ones(1, numpy.float32))
    write(w)


KINDS = {"mmproj": mmproj, "imatrix": imatrix}


def verify(path):
    reader = gguf.GGUFReader(next(path.glob("*.gguf")))
    assert reader.fields["general.architecture"].contents() in ("clip", "imatrix") and reader.tensors
