// Convolution of any kernel, stride, dilation and padding, dense or in groups of whole channel fours: one invocation
// computes PX consecutive pixels x CO groups of four output channels. The stem and strided 1x1 layers run here.
struct Params {
  x: u32, y: u32, residual: u32, weights: u32,
  scale: u32, bias: u32, pixels: u32, in_groups: u32,
  out_groups: u32, out_tiles: u32, channels: u32, row: u32,
  a: f32, b: f32, in_h: i32, in_w: i32,
  out_w: u32, kernel_h: u32, kernel_w: u32, stride_h: i32,
  stride_w: i32, dilation_h: i32, dilation_w: i32, pad_top: i32,
  pad_left: i32, tiles_per_group: u32, in_per_group: u32,
}

override INT8: bool = true;
override RESIDUAL: bool = false;
override WG: u32 = 64u;

@compute @workgroup_size(WG)
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
  let top{i} = i32(o{i} / p.out_w) * p.stride_h - p.pad_top;
  let left{i} = i32(o{i} % p.out_w) * p.stride_w - p.pad_left;
#end
#for i PX
#for j CO
  var sum{i}_{j} = vec4<f32>(0.0);
#end
#end
  var w = select(p.weights + co * 4u, p.weights + co, INT8);
  for (var ky = 0u; ky < p.kernel_h; ky++) {
    for (var kx = 0u; kx < p.kernel_w; kx++) {
#for i PX
      let iy{i} = top{i} + i32(ky) * p.dilation_h;
      let ix{i} = left{i} + i32(kx) * p.dilation_w;
      let in{i} = iy{i} >= 0 && iy{i} < p.in_h && ix{i} >= 0 && ix{i} < p.in_w;
      let x{i} = first_in + select(0u, u32(iy{i} * p.in_w + ix{i}) * p.in_groups, in{i});
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
    let bias{j} = float_weights(p.bias + co + {j}u);
    var scale{j} = vec4<f32>(1.0);
    if (INT8) { scale{j} = float_weights(p.scale + co + {j}u) * weight_lanes(); }
#for i PX
    if (pixel + {i}u < p.pixels) {
      let at = (pixel + {i}u) * p.out_groups + co + {j}u;
      var v = sum{i}_{j} * scale{j} + bias{j};
      if (RESIDUAL) { v += arena[p.residual + at]; }
      arena[p.y + at] = keep_channels(activate(v, p.a, p.b), co + {j}u, p.channels);
    }
#end
  }
#end
}
