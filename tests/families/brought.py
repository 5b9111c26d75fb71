"""Files as people bring them, of the networks of people.py, people_more.py and keras.py, and forms of these in which they are met.

What a user would expect to be explained is said here and not asked of famlens: the module whose output is the target, which is
found in the file by its values, or after `=` a value by its name, where it is no module's output. `end` is the module that famlens must be able to reach where it is not the file's output.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

import keras
import people
import people_more as more
import zoo
from make import export, initialise, noise, tidy, write

SEED = 2000
Old, New = False, True
# name: (network, exporter, opset, shapes of the inputs, target, further things)
NETWORKS = {
    "osnet": (people.OsNet, Old, 12, [(3, 128, 64)], "maps", {}),
    "reid_strong": (people.Strong, Old, 11, [(3, 96, 48)], "maps", {}),
    "reid_strong_new": (people.Strong, New, 18, [(3, 96, 48)], "maps", {}),
    "reid_parts": (people.Parts, Old, 13, [(3, 128, 64)], "maps", {}),
    "retrieval_gem": (people.Retrieval, Old, 16, [(3, 64, 80)], "maps", {"free": True}),
    "netvlad": (people.Vlad, Old, 14, [(3, 64, 48)], "=div0", {}),
    "mobilefacenet": (people.MobileFace, Old, 11, [(3, 56, 56)], "maps", {}),
    "mobilefacenet_new": (people.MobileFace, New, 20, [(3, 56, 56)], "maps", {}),
    "arcface_ir": (lambda: people.ArcFace(False), Old, 11, [(3, 56, 56)], "norm", {}),
    "arcface_ir_se": (lambda: people.ArcFace(True), New, 18, [(3, 56, 56)], "norm", {}),
    "facenet": (people.FaceNet, Old, 12, [(3, 64, 64)], "maps", {}),
    "retinaface": (people.RetinaFace, Old, 11, [(3, 64, 96)], "sides.2", {}),
    "scrfd": (people.Scrfd, Old, 11, [(3, 96, 64)], "maps", {}),
    "ultraface": (people.UltraFace, Old, 12, [(3, 48, 64)], "maps", {}),
    "yolov3": (more.Darknet, Old, 12, [(3, 64, 96)], "neck", {}),
    "yolov5": (lambda: more.Yolo(5), Old, 12, [(3, 64, 64)], "maps", {}),
    "yolov8": (lambda: more.Yolo(8), Old, 17, [(3, 64, 96)], "maps", {}),
    "yolov8_new": (lambda: more.Yolo(8), New, 19, [(3, 64, 64)], "maps", {}),
    "yolox": (more.YoloX, Old, 11, [(3, 64, 64)], "maps", {}),
    "efficientdet": (more.EfficientDet, Old, 13, [(3, 64, 64)], "maps.2", {}),
    "efficientdet_nms": (more.EfficientDet, New, 18, [(3, 64, 96)], "maps.2", {"after": keras.with_suppression}),
    "detr": (more.Detr, Old, 16, [(3, 48, 64)], "=add10", {}),
    "unet_grey": (lambda: more.UNet(1), Old, 12, [(1, 32, 48)], "maps", {}),
    "unet_new": (lambda: more.UNet(3), New, 18, [(3, 32, 32)], "maps", {}),
    "deeplab": (more.DeepLab, Old, 13, [(3, 64, 80)], "last.0", {"end": "last"}),
    "pose": (more.Pose, New, 20, [(3, 64, 48)], "maps", {}),
    "crnn": (more.Crnn, Old, 11, [(1, 32, 100)], "maps", {"end": "maps"}),
    "paddle_text": (more.PaddleText, Old, 14, [(3, 48, 64)], "maps", {"after": keras.constants}),
    "paddle_found": (more.PaddleFound, Old, 11, [(3, 64, 96)], "maps", {"after": keras.constants}),
    "siamese_score": (more.Siamese, Old, 13, [(3, 48, 48), (3, 48, 48)], "maps", {"end": "fc"}),
    "triplet": (more.Triplet, New, 18, [(3, 48, 32), (3, 48, 32), (3, 48, 32)], "maps", {"end": "fc"}),
    "two_towers": (more.Towers, Old, 14, [(3, 64, 64), (1, 64, 64)], "maps", {"end": "maps"}),
    "photo_and_numbers": (more.WithNumbers, Old, 15, [(3, 48, 48), (3,)], "maps", {"end": "maps"}),
    "lenet": (more.LeNet, Old, 11, [(1, 28, 28)], "maps.4", {}),
    "chest_densenet": (more.chest, New, 18, [(1, 64, 64)], "0.features.norm5", {}),
    "nfnet": (more.nf, Old, 13, [(3, 64, 64)], "final_act", {}),
}
WRITTEN = {
    "keras_mobilenet": (keras.mobilenet, (64, 48)),
    "keras_channels_last": (keras.channels_last, (48, 48)),
    "keras_bytes": (keras.bytes_in, (48, 48)),
    "functions": (keras.functions, (48, 32)),
}


class Noise(CalibrationDataReader):
    def __init__(self, shape):
        self.left = iter([{"x": noise(*shape) * scale} for scale in (1.0, 0.8, 1.1)])

    def get_next(self):
        return next(self.left, None)


def by_values(net, images, modules):
    """What gives, of the values of the taps, the names of those that are the outputs of these modules."""
    seen, hooks = {}, []
    for key, module in modules.items():
        def keep(_, __, out, key=key):
            seen.setdefault(key, out.detach().numpy())

        hooks.append(net.get_submodule(module).register_forward_hook(keep))
    with torch.no_grad():
        net(*images)
    [hook.remove() for hook in hooks]

    def expect(taps, values):
        found = {}
        for key, wanted in seen.items():
            off = lambda t: np.abs(values[t] - wanted).max() / np.abs(wanted).max()
            same = [t for t in taps if values[t].shape == wanted.shape]
            least = min(map(off, same), default=1.0)
            best = next((t for t in same if off(t) < least + 1e-5), None)
            # Weights in 16 bits move values a little.
            assert best and off(best) < 0.05, f"no tap is the output of {modules[key]}"
            found[key] = best
        return found

    return expect


def networks(index, chosen):
    failed = []
    for seed, (name, (build, new, opset, shapes, target, options)) in enumerate(NETWORKS.items()):
        if chosen and name not in chosen:
            continue
        try:
            first, *others = [(1, *shape) for shape in shapes]
            torch.manual_seed(SEED + seed)
            net = initialise(build(), *first[2:], SEED + seed, others, first[1])
            known, modules = target.removeprefix("="), {} if target.startswith("=") else {"target": target}
            modules |= ({"end": options["end"]} if "end" in options else {})
            expect = by_values(net, [torch.from_numpy(noise(*first)), *(torch.from_numpy(-noise(*o) / (i + 2)) for i, o in enumerate(others))], modules)
            found = expect
            expect = (lambda *taps: {"target": known} | found(*taps)) if target.startswith("=") else found
            model = export(net, new, opset, first, options.get("free", False), others)
            model = tidy(options.get("after", lambda m: m)(model), outputs=9)
            write(index, name, model, "torch.export" if new else "TorchScript", first, others=others, expect=expect)
        except Exception as error:
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {str(error)[:600]}", file=sys.stderr)
    return failed


def written(index, chosen):
    for seed, (name, (build, size)) in enumerate(WRITTEN.items()):
        if chosen and name not in chosen:
            continue
        model, target = build(SEED + seed)
        place = next(i for i, n in enumerate(model.graph.node) if target in n.output)
        model = tidy(model)
        target = [n for n in model.graph.node if n.op_type != "Cast" or not n.output[0].startswith("w")][place].output[0]
        shape, last = (1, 3, *size), model.graph.input[0].type.tensor_type.shape.dim[3].dim_value == 3
        image = noise(*shape)
        given = image.transpose(0, 2, 3, 1) if last else image
        more = {"target": target}
        if model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8:
            given, more = np.floor((given + np.float32(1)) * np.float32(127.5)).astype(np.uint8), more | {"bytes": True}
        write(index, name, model, "by hand", shape, given=np.ascontiguousarray(given), expect=lambda *_: more)


def optimised(path, out, level, **options):
    """The file that ONNX Runtime saves of a model that it optimised."""
    session = onnxruntime.SessionOptions()
    session.graph_optimization_level, session.optimized_model_filepath = level, str(out)
    onnxruntime.InferenceSession(str(path), session, providers=["CPUExecutionProvider"])
    return onnx.load(out)


def forms(index, chosen):
    """Quantised and optimised forms."""
    level = onnxruntime.GraphOptimizationLevel
    made = lambda name: not chosen or name in chosen
    strong = initialise(people.Strong(), 96, 48, SEED + 90)
    mobile = initialise(people.MobileFace(), 56, 56, SEED + 91)
    vit = initialise(zoo.timm_vit(embed_dim=32, num_heads=2)(), 32, 32, SEED + 92)
    osnet = initialise(people.OsNet(), 128, 64, SEED + 93)
    shapes = {"strong": (1, 3, 96, 48), "mobile": (1, 3, 56, 56), "vit": (1, 3, 32, 32), "osnet": (1, 3, 128, 64)}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in shapes}
        for (name, shape), net in zip(shapes.items(), (strong, mobile, vit, osnet)):
            onnx.save(export(net, Old, 17, shape, False), paths[name])
        out = Path(folder) / "out.onnx"
        for name, source, kind in [("qoperator_reid", "osnet", QuantType.QUInt8), ("qoperator_face", "mobile", QuantType.QUInt8)]:
            if made(name):
                quantize_static(paths[source], out, Noise(shapes[source]), quant_format=QuantFormat.QOperator, activation_type=kind, weight_type=QuantType.QInt8, per_channel=source == "osnet")
                write(index, name, tidy(onnx.load(out), shrink=False), "onnxruntime.quantization", shapes[source], rounded=True)
        if made("dynamic_reid"):
            quantize_dynamic(paths["strong"], out, weight_type=QuantType.QUInt8, op_types_to_quantize=["Conv", "MatMul", "Gemm"])
            write(index, "dynamic_reid", tidy(onnx.load(out), shrink=False), "onnxruntime.quantization", shapes["strong"], rounded=True)
        if made("int4_vit"):
            from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

            quantizer = MatMulNBitsQuantizer(onnx.load(paths["vit"]), block_size=16, is_symmetric=False)
            quantizer.process()
            write(index, "int4_vit", tidy(quantizer.model.model, shrink=False), "onnxruntime.quantization", shapes["vit"])
        if made("optimised_reid"):
            write(index, "optimised_reid", tidy(optimised(paths["strong"], out, level.ORT_ENABLE_EXTENDED), shrink=False), "ONNX Runtime, extended", shapes["strong"])
        if made("optimised_vit"):
            write(index, "optimised_vit", tidy(optimised(paths["vit"], out, level.ORT_ENABLE_EXTENDED), shrink=False), "ONNX Runtime, extended", shapes["vit"])
        if made("fused_vit"):
            from onnxruntime.transformers import optimizer

            fused = optimizer.optimize_model(str(paths["vit"]), model_type="vit", num_heads=2, hidden_size=32, opt_level=0)
            fused.model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
            write(index, "fused_vit", tidy(fused.model, shrink=False), "onnxruntime.transformers", shapes["vit"])


def brought(index, chosen):
    failed = networks(index, chosen)
    for part in (written, forms):
        try:
            part(index, chosen)
        except Exception as error:
            failed.append(part.__name__)
            print(f"{part.__name__}: {type(error).__name__}: {str(error)[:600]}", file=sys.stderr)
    return failed
