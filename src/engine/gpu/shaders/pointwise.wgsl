// 1x1 convolution, stride 1, and linear layers over rows whose length is a multiple of four: a matrix product
// [pixels, inputs] x [inputs, outputs]. One invocation computes PX pixels x CO groups of four output channels.
// Neighbouring invocations share the pixels and take neighbouring channels, so that weights load coalesced.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  let pixel = t / p.out_tiles * {PX}u;
  if (pixel >= p.pixels) { return; }
  let co = t % p.out_tiles * {CO}u;
  let last = p.pixels - 1u;
  let stride = p.out_tiles * {CO}u;
#for i PX
  let x{i} = p.x + min(pixel + {i}u, last) * p.in_groups;
#end
#for i PX
#for j CO
  var sum{i}_{j} = vec4<f32>(0.0);
#end
#end
  if (INT8) {
    var w = p.weights + co;
    for (var k = 0u; k < p.in_groups; k++) {
#for j CO
      let q{j} = weights[w + {j}u];
#end
#for i PX
      let v{i} = arena[x{i} + k];
#end
#for j CO
      let m{j} = mat4x4<f32>(
        int8_weights(q{j}.x),
        int8_weights(q{j}.y),
        int8_weights(q{j}.z),
        int8_weights(q{j}.w));
#for i PX
      sum{i}_{j} += m{j} * v{i};
#end
#end
      w += stride;
    }
#for j CO
    let scale{j} = float_weights(p.end.scale + co + {j}u) * weight_lanes();
#for i PX
    sum{i}_{j} *= scale{j};
#end
#end
  } else {
    var w = p.weights + co * 4u;
    for (var k = 0u; k < p.in_groups; k++) {
#for i PX
      let v{i} = arena[x{i} + k];
#end
#for j CO
      let m{j} = mat4x4<f32>(
        float_weights(w + {4*j}u),
        float_weights(w + {4*j+1}u),
        float_weights(w + {4*j+2}u),
        float_weights(w + {4*j+3}u));
#for i PX
      sum{i}_{j} += m{j} * v{i};
#end
#end
      w += stride * 4u;
    }
  }
#for j CO
  if (co + {j}u < p.out_groups) {
    let bias{j} = float_weights(p.end.bias + co + {j}u);
#for i PX
    if (pixel + {i}u < p.pixels) {
      finish(sum{i}_{j}, bias{j}, (pixel + {i}u) * p.out_groups + co + {j}u, co + {j}u);
    }
#end
  }
#end
}
