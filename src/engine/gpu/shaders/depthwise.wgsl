// Depthwise convolution with a kernel KW cells wide, horizontal stride SX and no horizontal dilation: one invocation
// computes TX neighbouring pixels of four channels, so that a loaded cell serves every pixel whose window holds it.
// With TX = KW = 1 the horizontal taps become a loop, which takes any kernel width and dilation.
struct Params {
  x: u32, y: u32, residual: u32, weights: u32,
  scale: u32, bias: u32, groups: u32, channels: u32,
  in_h: i32, in_w: i32, out_h: u32, out_w: u32,
  tiles: u32, row: u32, kernel_h: i32, kernel_w: i32,
  stride_h: i32, stride_w: i32, dilation_h: i32, dilation_w: i32,
  pad_top: i32, pad_left: i32, a: f32, b: f32,
}

override INT8: bool = true;
override RESIDUAL: bool = false;
override WG: u32 = 64u;

// The four channels' weights of one tap.
fn tap_weights(tap: u32) -> vec4<f32> {
  if (INT8) { return int8_weights(weights[p.weights + tap / 4u][tap % 4u]); }
  return float_weights(p.weights + tap);
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  let c = t % p.groups;
  let tile = t / p.groups;
  let oy = tile / p.tiles;
  if (oy >= p.out_h) { return; }
  let ox = tile % p.tiles * {TX}u;
  let left = i32(ox) * p.stride_w - p.pad_left;
#for i TX
  var sum{i} = vec4<f32>(0.0);
#end
  var tap = c;
  for (var ky = 0; ky < p.kernel_h; ky++) {
    let iy = i32(oy) * p.stride_h - p.pad_top + ky * p.dilation_h;
    let in_y = iy >= 0 && iy < p.in_h;
    let line = p.x + select(0u, u32(iy * p.in_w) * p.groups, in_y) + c;
    for (var kx = 0; kx < p.kernel_w; kx += {KW}) {
#for n COLS
      let x{n} = left + kx * p.dilation_w + {n};
      let in{n} = in_y && x{n} >= 0 && x{n} < p.in_w;
      let v{n} = select(vec4<f32>(0.0), arena[line + select(0u, u32(x{n}) * p.groups, in{n})], in{n});
#end
#for k KW
      let w{k} = tap_weights(tap + {k}u * p.groups);
#for i TX
      sum{i} += w{k} * v{i*SX+k};
#end
#end
      tap += {KW}u * p.groups;
    }
  }
  let bias = float_weights(p.bias + c);
  var scale = vec4<f32>(1.0);
  if (INT8) { scale = float_weights(p.scale + c) * weight_lanes(); }
#for i TX
  if (ox + {i}u < p.out_w) {
    let at = (oy * p.out_w + ox + {i}u) * p.groups + c;
    var v = sum{i} * scale + bias;
    if (RESIDUAL) { v += arena[p.residual + at]; }
    arena[p.y + at] = keep_channels(activate(v, p.a, p.b), c, p.channels);
  }
#end
}
