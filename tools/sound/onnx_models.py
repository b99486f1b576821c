"""ONNX models by the onnx package itself, checked by its checker."""
import numpy
import onnx
from common import folder
from onnx import TensorProto, helper, numpy_helper


def model():
    generator = numpy.random.default_rng(5)
    weights = [numpy_helper.from_array(generator.standard_normal(shape).astype(numpy.float32), name)
               for name, shape in (("first.weight", (8, 16)), ("first.bias", (16,)), ("second.weight", (16, 4)))]  # fmt: skip
    nodes = [helper.make_node("MatMul", ["x", "first.weight"], ["a"]), helper.make_node("Add", ["a", "first.bias"], ["b"]),
             helper.make_node("Relu", ["b"], ["c"]), helper.make_node("MatMul", ["c", "second.weight"], ["y"])]  # fmt: skip
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])], weights)  # fmt: skip
    return helper.make_model(graph, producer_name="assay-sound", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def inside():
    onnx.save(model(), folder("onnx") / "model.onnx")


def external():
    onnx.save(model(), folder("onnx-external") / "model.onnx", save_as_external_data=True,
              all_tensors_to_one_file=True, location="model.onnx_data", size_threshold=0)  # fmt: skip


KINDS = {"onnx": inside, "onnx-external": external}


def verify(path):
    onnx.checker.check_model(str(path / "model.onnx"), full_check=True)
