"""ONNX Runtime's side of bench_native: it reads "run" and prints milliseconds, reads "embedding" and prints the mean over cells.

    python bench_native.py MODEL TARGET THREADS INPUT_DIM ...
"""

import sys
import time

import numpy as np
import onnx
import onnxruntime as ort

model, target, threads, *shape = sys.argv[1:]
shape = [int(n) for n in shape]
loaded = onnx.load(model)
# Nothing behind the target layer is computed: ONNX Runtime drops what no output needs.
del loaded.graph.output[:]
loaded.graph.output.append(onnx.ValueInfoProto(name=target))
options = ort.SessionOptions()
options.intra_op_num_threads = int(threads)
options.log_severity_level = 3
session = ort.InferenceSession(loaded.SerializeToString(), options, providers=["CPUExecutionProvider"])
count = int(np.prod(shape))
image = ((np.arange(count) * 37 % 255 - 127.0) / 128.0).astype(np.float32).reshape(shape)
feed = {session.get_inputs()[0].name: image}
print(f"ONNX Runtime {ort.__version__}, {threads} thread{'s' if threads != '1' else ''}", flush=True)

output = None
for line in sys.stdin:
    if line.strip() == "run":
        started = time.perf_counter()
        (output,) = session.run(None, feed)
        print((time.perf_counter() - started) * 1e3, flush=True)
    else:
        # Maps, or rows of tokens with the class token in front.
        maps = output if output.ndim == 4 else output[:, output.shape[1] % 2 :].swapaxes(1, 2)[..., None]
        print(*maps.mean(axis=(2, 3)).ravel(), flush=True)
