// Convolution of any kernel, stride, dilation and padding, dense or in groups of whole channel fours: one invocation
// computes PX consecutive pixels x CO groups of four output channels. The stem and strided 1x1 layers run here.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  let pixel = t / p.out_tiles * {PX}u;
  if (pixel >= p.pixels) { return; }
  let tile = t % p.out_tiles;
  let co = tile * {CO}u;
  let first_in = p.x + tile / p.tiles_per_group * p.in_per_group;
  let last = p.pixels - 1u;
  let stride = p.out_tiles * {CO}u;
#for i PX
  let o{i} = min(pixel + {i}u, last);
  let top{i} = i32(o{i} / p.window.out_w) * p.window.stride_h - p.window.pad_top;
  let left{i} = i32(o{i} % p.window.out_w) * p.window.stride_w - p.window.pad_left;
#end
#for i PX
#for j CO
  var sum{i}_{j} = vec4<f32>(0.0);
#end
#end
  var w = select(p.weights + co * 4u, p.weights + co, INT8);
  for (var ky = 0; ky < p.window.kernel_h; ky++) {
    for (var kx = 0; kx < p.window.kernel_w; kx++) {
#for i PX
      let iy{i} = top{i} + ky * p.window.dilation_h;
      let ix{i} = left{i} + kx * p.window.dilation_w;
      let in{i} = iy{i} >= 0 && iy{i} < p.window.in_h && ix{i} >= 0 && ix{i} < p.window.in_w;
      let x{i} = first_in + select(0u, u32(iy{i} * p.window.in_w + ix{i}) * p.in_groups, in{i});
#end
      for (var k = 0u; k < p.in_per_group; k++) {
#for i PX
        let v{i} = select(vec4<f32>(0.0), arena[x{i} + k], in{i});
#end
        if (INT8) {
#for j CO
          let q{j} = weights[w + {j}u];
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
        } else {
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
    }
  }
#for j CO
  if (co + {j}u < p.out_groups) {
    let bias{j} = float_weights(p.end.bias + co + {j}u);
    var scale{j} = vec4<f32>(1.0);
    if (INT8) { scale{j} = float_weights(p.end.scale + co + {j}u) * weight_lanes(); }
#for i PX
    if (pixel + {i}u < p.pixels) {
      finish(sum{i}_{j} * scale{j}, bias{j}, (pixel + {i}u) * p.out_groups + co + {j}u, co + {j}u);
    }
#end
  }
#end
}
